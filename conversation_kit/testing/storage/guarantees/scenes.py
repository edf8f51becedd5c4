"""Scenes that decisions get to see: each field of ``Needs``, no less and no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from conversation_kit.domain.models import LIVE, Conversation, Leg, LegStatus, Member, ReceiptKind, User
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.concurrency import together
from conversation_kit.testing.harness.harness import APP, INVITED, JOINED, LEFT, OTHER, Bench, Contract, assert_same
from conversation_kit.testing.harness.writes import update_user

SEEN, DELIVERED = ReceiptKind.SEEN, ReceiptKind.DELIVERED


@dataclass
class Room:
    """A conversation with ``ana``, who has been in it in all states, and ``bo``, who is joined; ``cy`` is in none."""

    bench: Bench
    conversation: Conversation
    ana: User
    bo: User
    cy: User
    left: Member
    invited: Member
    joined: Member
    other: Member

    async def scene(self, **needs: object) -> Scene:
        """Return the scene that is seen with these needs."""
        return await self.bench.scene(self.conversation.id, Needs(**needs))  # type: ignore[arg-type]


async def make_room(bench: Bench) -> Room:
    """Make a room beside other data, which its scenes must not show."""
    room, hall, theirs = await bench.conversation(), await bench.conversation(), await bench.conversation(application_id=OTHER)
    ana, bo, cy = [await bench.user(name) for name in ("ana", "bo", "cy")]
    for name in ("ana", "bo", "cy"):
        await bench.member(theirs, await bench.user(name, OTHER))
    left, invited = await bench.member(room, ana, LEFT), await bench.member(room, ana, INVITED)
    other, joined = await bench.member(room, bo, JOINED), await bench.member(room, ana, JOINED, channel={"type": "phone"})
    await bench.member(hall, ana)
    return Room(bench, await bench.stored(room), ana, bo, cy, left, invited, joined, other)


def assert_members(scene: Scene, *members: Member) -> None:
    """Check that exactly these members are in the scene, each once."""
    assert_same(by_id(scene.members), by_id(members))


def assert_legs(scene: Scene, *legs: Leg) -> None:
    """Check that exactly these legs are in the scene, each once."""
    assert_same(by_id(scene.legs), by_id(legs))


def by_id(things: Iterable[Member | Leg]) -> list[Member | Leg]:
    """Return them in the order of their ids."""
    return sorted(things, key=lambda thing: thing.id)


class ScenesContract(Contract):
    """A scene holds the conversation and what was asked for; what does not exist is not in it."""

    async def test_without_needs_the_scene_is_the_conversation_alone(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            await bench.say(room.conversation.id, "hello")
            await bench.leg(conversation_id=room.conversation.id)
            scene = await room.scene()
            assert_same(scene.conversation, replace(room.conversation, sequence_number=1))
            assert scene.caller is None
            assert scene.user is None
            assert (list(scene.members), dict(scene.events), list(scene.legs)) == ([], {}, [])

    async def test_the_caller_comes_with_its_active_memberships_oldest_first(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            scene = await room.scene(caller="ana")
            assert_same(scene.caller, room.ana)
            assert scene.user is None
            assert_members(scene, room.invited, room.joined)
            assert_same(scene.members_of(scene.caller), [room.invited, room.joined])

    @pytest.mark.parametrize("by", ["user_id", "user_name"])
    async def test_the_user_acted_upon_comes_with_its_active_memberships(self, tmp_path: Path, by: str) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            scene = await room.scene(**{by: {"user_id": room.ana.id, "user_name": "ana"}[by]})
            assert_same(scene.user, room.ana)
            assert scene.caller is None
            assert_members(scene, room.invited, room.joined)
            assert_same(scene.members_of(scene.user, JOINED), [room.joined])

    async def test_caller_and_user_may_be_two_or_the_same(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            two = await room.scene(caller="ana", user_name="bo")
            assert_same([two.caller, two.user], [room.ana, room.bo])
            assert_members(two, room.invited, room.joined, room.other)
            same = await room.scene(caller="ana", user_id=room.ana.id)
            assert_same([same.caller, same.user], [room.ana, room.ana])
            assert_members(same, room.invited, room.joined)

    async def test_users_without_memberships_are_in_the_scene_too(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            scene = await room.scene(caller="cy", user_id=room.cy.id)
            assert_same([scene.caller, scene.user], [room.cy, room.cy])
            assert_members(scene)

    async def test_users_that_the_application_does_not_have_are_absent(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, stranger = await make_room(bench), await bench.user("eve", OTHER)
            for needs in ({"caller": "eve", "user_name": "eve"}, {"caller": "", "user_id": stranger.id}, {"user_id": new_id("USR")}):
                scene = await room.scene(**needs)
                assert scene.caller is None
                assert scene.user is None
                assert_members(scene)

    async def test_members_are_looked_up_by_id_whatever_their_state(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            elsewhere = await bench.member(await bench.conversation(), room.cy)
            scene = await room.scene(members=(room.left.id, room.joined.id, elsewhere.id, new_id("MEM"), room.left.id))
            assert_members(scene, room.left, room.joined)
            assert_same(scene.member(room.left.id), room.left)
            assert scene.member(elsewhere.id) is None
            together = await room.scene(caller="ana", members=(room.left.id, room.joined.id, room.other.id))
            assert_members(together, room.left, room.invited, room.joined, room.other)

    async def test_events_are_looked_up_by_id_and_come_with_their_senders(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            id = room.conversation.id
            events = [
                *await bench.say(id, "from an admin"),
                *await bench.say(id, "from one that left", sender=room.left.id),
                *await bench.say(id, "from bo", "from bo again", sender=room.other.id),
                *await bench.say(id, "from nobody", sender=new_id("MEM")),
            ]
            scene = await room.scene(events=(1, 2, 4, 0, -1, 6, 2**53))
            assert set(scene.events) == {1, 2, 4}
            for number, event in scene.events.items():
                assert_same(event, events[number - 1])
            assert_members(scene, room.left, room.other)
            assert_members(await room.scene(events=(1, 5)))

    async def test_events_come_with_the_receipts_of_the_members_in_the_scene(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            event, other = await bench.say(room.conversation.id, "one", "two", sender=room.left.id)
            of_left = await bench.receive(event, room.left, SEEN, 3)
            of_joined = [await bench.receive(event, room.joined, kind, 4) for kind in (SEEN, DELIVERED)]
            await bench.receive(event, room.other, SEEN, 5)
            await bench.receive(other, room.joined, SEEN, 6)
            for needs, expected in (
                (Needs(events=(1,)), [of_left]),
                (Needs(events=(1,), caller="ana"), [of_left, *of_joined]),
                (Needs(events=(1,), user_id=room.ana.id), [of_left, *of_joined]),
                (Needs(events=(1,), members=(room.joined.id,)), [of_left, *of_joined]),
                (Needs(events=(1,), caller="cy"), [of_left]),
            ):
                found = (await bench.scene(room.conversation.id, needs)).events[1].receipts
                assert len(found) == len(expected)
                assert set(found) == set(expected)
            assert len((await room.scene(caller="ana", events=(1, 2))).events[2].receipts) == 1

    async def test_legs_are_looked_up_by_id_in_the_application(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            inside, outside = await bench.leg(conversation_id=room.conversation.id), await bench.leg(status=LegStatus.COMPLETED)
            theirs = await bench.leg(application_id=OTHER)
            await bench.leg(conversation_id=room.conversation.id)
            scene = await room.scene(legs=(inside.id, outside.id, theirs.id, new_id("LEG"), inside.id))
            assert_legs(scene, inside, outside)
            assert_same(scene.leg(outside.id), outside)
            assert_legs(await bench.scene(None, Needs(legs=(inside.id, theirs.id))), inside)

    async def test_a_user_may_be_named_by_one_of_its_members(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            elsewhere = await bench.member(await bench.conversation(), room.cy)
            scene = await room.scene(user_of=room.left.id)
            assert_same(scene.user, room.ana)
            assert_members(scene, room.invited, room.joined)
            for id in (elsewhere.id, new_id("MEM")):
                assert (await room.scene(user_of=id)).user is None
            assert (await bench.scene(new_id("CON"), Needs(user_of=room.left.id))).user is None

    async def test_a_leg_brings_the_conversation_in_which_it_is(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            inside, outside = await bench.leg(conversation_id=room.conversation.id), await bench.leg()
            theirs = await bench.leg(application_id=OTHER)
            scene = await bench.scene(None, Needs(conversation_of=inside.id, caller="bo"))
            assert_same(scene.conversation, room.conversation)
            assert_legs(scene, inside)
            assert_members(scene, room.other)
            scene = await bench.scene(None, Needs(conversation_of=outside.id))
            assert scene.conversation is None
            assert_legs(scene, outside)
            for id in (theirs.id, new_id("LEG")):
                scene = await bench.scene(None, Needs(conversation_of=id))
                assert (scene.conversation, list(scene.legs)) == (None, [])
            await bench.edit(None, lambda draft: draft.append("custom:rung", {}), Needs(conversation_of=inside.id))
            assert [event.type for event in await bench.log(room.conversation.id)] == ["custom:rung"]
            await bench.destroy(room.conversation)
            scene = await bench.scene(None, Needs(conversation_of=inside.id))
            assert scene.conversation is None
            assert_legs(scene, inside)

    async def test_the_conversation_of_a_leg_is_that_in_which_it_is_whoever_moves_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            rooms = [await bench.conversation() for _ in range(3)]
            leg = await bench.leg(conversation_id=rooms[0].id)

            async def move(room: Conversation | None) -> None:
                await bench.storage.change(
                    APP,
                    None,
                    Needs(conversation_of=leg.id),
                    lambda scene: Changes(None, legs=[replace(scene.legs[0], conversation_id=room.id if room else None)]),
                )

            async def look() -> bool:
                scene = await bench.scene(None, Needs(conversation_of=leg.id))
                return (scene.conversation.id if scene.conversation else None) == scene.legs[0].conversation_id

            steps = [step for room in (*rooms, None, *rooms[::-1]) for step in (partial(move, room), look, look)]
            assert all(outcome in (True, None) for outcome in await together(*steps))

    async def test_a_knocking_id_brings_the_leg_of_its_knocker(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            leg = await bench.leg(knocking_id="KNO-1")
            await bench.leg(knocking_id="KNO-2")
            await bench.leg(knocking_id="KNO-1", application_id=OTHER)
            await bench.leg()
            assert_legs(await room.scene(knocking_id="KNO-1"), leg)
            assert_legs(await bench.scene(None, Needs(knocking_id="KNO-1", legs=(leg.id,))), leg)
            assert_legs(await room.scene(knocking_id="KNO-3"))

    async def test_live_legs_are_those_of_the_conversation_that_have_not_ended(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            legs = [await bench.leg(conversation_id=room.conversation.id, status=status) for status in LegStatus]
            elsewhere = await bench.conversation()
            await bench.leg(conversation_id=elsewhere.id)
            outside = await bench.leg()
            live = [leg for leg in legs if leg.status in LIVE]
            ended = next(leg for leg in legs if leg.status not in LIVE)
            assert_legs(await room.scene(live_legs=True), *live)
            assert_legs(await room.scene(live_legs=True, legs=(live[0].id, ended.id, outside.id)), *live, ended, outside)

    async def test_a_missing_conversation_gives_a_scene_without_one(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, leg = await make_room(bench), await bench.leg()
            await bench.say(room.conversation.id, "hello")
            theirs = await bench.conversation(application_id=OTHER)
            needs = Needs(caller="ana", user_name="bo", members=(room.joined.id,), events=(1,), legs=(leg.id,))
            for id in (new_id("CON"), theirs.id, None):
                scene = await bench.scene(id, needs)
                assert scene.conversation is None
                assert_same([scene.caller, scene.user], [room.ana, room.bo])
                assert_members(scene)
                assert dict(scene.events) == {}
                assert_legs(scene, leg)
            await bench.destroy(room.conversation)
            assert (await room.scene()).conversation is None

    async def test_an_expired_conversation_is_still_in_the_scene(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation(expires_at=bench.clock())
            assert_same((await bench.scene(room.id)).conversation, room)

    async def test_a_scene_shows_what_earlier_changes_made_of_things(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await make_room(bench)
            gone = replace(room.invited, state=LEFT, left=bench.tick())
            await bench.save_member(gone)
            renamed = await update_user(bench.storage, APP, room.ana.id, lambda old: replace(old, name="eve"))
            scene = await room.scene(caller="eve", user_name="ana", members=(gone.id,))
            assert_same(scene.caller, renamed)
            assert scene.user is None
            assert_members(scene, replace(gone, user_name="eve"), replace(room.joined, user_name="eve"))
            assert scene.conversation is not None
            assert scene.conversation.active_members == 2
