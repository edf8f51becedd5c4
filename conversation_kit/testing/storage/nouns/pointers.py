"""Read pointers of members: numbers that the core moves on, and a storage keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Conversation, Member, MemberState, Pointer, ReceiptKind
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.testing.harness.concurrency import failures, together
from conversation_kit.testing.harness.harness import APP, Bench, Contract, assert_same
from conversation_kit.testing.harness.writes import update_user
from conversation_kit.testing.storage.nouns.values import JSON


async def said(bench: Bench, room: Conversation, *are_messages: bool) -> None:
    """Append one event for each of these."""

    def append(draft: Draft) -> None:
        for is_message in are_messages:
            draft.append("text" if is_message else "member:media", {}, is_message=is_message)

    await bench.edit(room.id, append)


async def moved(bench: Bench, member: Member, seen: int, seen_messages: int) -> Member:
    """Move the member's pointer and nothing else, and return the member as it is then."""
    await bench.commit(member.conversation_id, Changes(None, pointers=[Pointer(member.id, seen, seen_messages)]), member.application_id)
    return replace(member, seen=seen, seen_messages=seen_messages)


async def messages(bench: Bench, room: Conversation, last: int) -> dict[int, int]:
    """Return the ``messages`` of the events 1 to ``last`` as scenes have them."""
    scene = await bench.scene(room.id, Needs(events=tuple(range(1, last + 1))))
    return {id: event.messages for id, event in sorted(scene.events.items())}


async def found(bench: Bench, member: Member) -> Member:
    """Return the member as it is now."""
    return await bench.storage.get_member(bench.access(application_id=member.application_id), member.conversation_id, member.id)


class PointersContract(Contract):
    """A pointer moves by itself, and what it points to is known."""

    async def test_a_pointer_moves_and_everything_else_of_the_member_stays(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            member = await bench.member(
                room, user, channel={"type": "app", **JSON}, media=JSON, initiator=JSON, invited_by="USR-1", since=1
            )
            other = await bench.member(room, await bench.user("bo"), since=2, seen=2)
            for numbers in ((3, 1), (2**53, 2**53 - 1)):
                member = await moved(bench, member, *numbers)
                assert_same(await found(bench, member), member)
                assert_same((await bench.storage.list_members(bench.access(), room.id, Page())).items, [member, other])
                assert_same((await bench.storage.get_conversation(bench.access(), room.id, 9))[1], [member, other])
                listed = await bench.storage.list_memberships(APP, user.id, Page(), bench.clock())
                assert_same([one for _, one in listed.items], [member])
                for needs in (Needs(caller=user.name), Needs(user_id=user.id), Needs(members=(member.id,))):
                    assert_same((await bench.scene(room.id, needs)).members, [member])

    async def test_a_pointer_is_that_of_its_member_in_its_conversation_in_its_application(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            members: list[Member] = []
            for application_id in (APP, "app-2"):
                user = await bench.user(application_id=application_id)
                for id in ("CON-1", "CON-2"):
                    room = await bench.conversation(application_id=application_id, id=id)
                    members += [await bench.member(room, user, id=member_id) for member_id in ("MEM-1", "MEM-2")]
            for number, member in enumerate(members, 1):
                members[number - 1] = await moved(bench, member, number, number)
                assert_same([await found(bench, one) for one in members], members)

    async def test_many_pointers_move_at_once_each_to_its_own_event(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user()
            rooms = [await bench.conversation() for _ in range(19)]
            # The same ids in each.
            members = [await bench.member(room, user, id=f"MEM-{number}") for room in rooms for number in (1, 2)]
            moves = [partial(moved, bench, member, number + 2, number) for number, member in enumerate(members)]
            outcomes = await together(*moves)
            assert failures(outcomes) == []
            assert_same([await found(bench, member) for member in members], outcomes)

    async def test_pointers_of_one_change_move_beside_members_that_are_saved(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            ana, bo, cy = [await bench.member(room, await bench.user(name)) for name in ("ana", "bo", "cy")]
            bo = replace(bo, media={"audio": True}, seen=4, seen_messages=3)
            pointers = [Pointer(ana.id, 5, 4), Pointer(cy.id, 6, 5)]
            await bench.commit(room.id, Changes(None, members=[bo], pointers=pointers))
            wanted = [replace(ana, seen=5, seen_messages=4), bo, replace(cy, seen=6, seen_messages=5)]
            assert_same([await found(bench, member) for member in wanted], wanted)

    async def test_the_next_decision_sees_the_pointer_that_the_last_one_moved(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            member = await bench.member(room, user)

            def step(scene: Scene) -> Changes[None]:
                (seen,) = scene.members_of(scene.caller)
                return Changes(None, pointers=[Pointer(seen.id, seen.seen + 2, seen.seen_messages + 1)])

            def save(scene: Scene) -> Changes[None]:
                (seen,) = scene.members_of(scene.caller)
                media = {"saved": (seen.media or {"saved": 0})["saved"] + 1}
                return Changes(None, members=[replace(seen, media=media, seen=seen.seen + 2, seen_messages=seen.seen_messages + 1)])

            decisions = [step, step, save, step, save, step, step, save]
            calls = [partial(bench.storage.change, APP, room.id, Needs(caller=user.name), decide) for decide in decisions * 2]
            assert failures(await together(*calls)) == []
            assert_same(await found(bench, member), replace(member, seen=32, seen_messages=16, media={"saved": 6}))

    async def test_a_member_reads_from_the_change_on_that_it_joins_with(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            member = bench.make_member(room, user)

            def join(scene: Scene) -> Changes[bool]:
                return Changes(False, members=[member])

            def step(scene: Scene) -> Changes[bool]:
                seen = scene.member(member.id)
                return Changes(seen is not None, pointers=[Pointer(seen.id, seen.seen + 1, seen.seen)] if seen else ())

            decisions = [step, step, join, *[step] * 6]
            needs = Needs(members=(member.id,))
            outcomes = await together(*[partial(bench.storage.change, APP, room.id, needs, decide) for decide in decisions])
            assert failures(outcomes) == []
            steps = sum(outcome.result for outcome in outcomes if isinstance(outcome, Changes))
            assert (await found(bench, member)).seen == steps

    async def test_a_user_who_is_renamed_while_reading_has_the_new_name_and_the_new_pointer(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user("ana")
            members = [await bench.member(await bench.conversation(), user) for _ in range(6)]

            async def rename() -> None:
                await update_user(bench.storage, APP, user.id, lambda old: replace(old, name="eve"))

            moves = [partial(moved, bench, member, 7, 6) for member in members]
            assert failures(await together(*moves[:3], rename, *moves[3:])) == []
            wanted = [replace(member, user_name="eve", seen=7, seen_messages=6) for member in members]
            assert_same([await found(bench, member) for member in members], wanted)

    async def test_events_in_a_scene_know_how_many_messages_lie_there_or_before(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            await said(bench, hall, True, True, True)
            await said(bench, room, False, True)
            await said(bench, room, False)
            await said(bench, room, True, True)
            scene = await bench.scene(room.id, Needs(events=(1, 2, 3, 4, 5)))
            assert {id: event.messages for id, event in scene.events.items()} == {1: 0, 2: 1, 3: 1, 4: 2, 5: 3}
            assert_same(await bench.stored(room), replace(room, sequence_number=5, messages=3))

    async def test_an_event_that_is_rewritten_still_knows_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            member = await bench.member(room, user)
            await said(bench, room, True, True)
            await bench.edit(room.id, lambda draft: draft.rewrite(draft.compose(2, "text", {"gone": True}, sender=member.id)))
            (event,) = (await bench.scene(room.id, Needs(events=(2,)))).events.values()
            assert event.body == {"gone": True}
            assert event.messages == 2
            await bench.receive(event, member, ReceiptKind.SEEN, 3)
            (event,) = (await bench.scene(room.id, Needs(events=(2,)))).events.values()
            assert (event.messages, len(event.receipts)) == (2, 1)

    async def test_a_message_that_is_deleted_counts_as_read_for_those_before_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            for one in (room, hall):
                await said(bench, one, True, False, True, True)
            await bench.commit(room.id, Changes(None, deleted=[3]))
            assert await messages(bench, room, 5) == {1: 2, 2: 2, 3: 2, 4: 3}
            await said(bench, room, True)
            await bench.commit(room.id, Changes(None, deleted=[5, 1]))
            assert await messages(bench, room, 5) == {1: 3, 2: 3, 3: 3, 4: 4, 5: 4}
            assert await messages(bench, hall, 4) == {1: 1, 2: 1, 3: 2, 4: 3}
            await bench.destroy(room)
            again = await bench.conversation(id=room.id)
            await said(bench, again, True, True)
            assert await messages(bench, again, 2) == {1: 1, 2: 2}

    async def test_a_scene_has_the_members_whose_pointers_lie_before_an_event(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, user = await bench.conversation(), await bench.conversation(), await bench.user()
            await said(bench, room, True, True, True)
            early = await bench.member(room, user, seen=1, seen_messages=1)
            invited = await bench.member(room, await bench.user("bo"), state=MemberState.INVITED, seen=2, seen_messages=2)
            await bench.member(room, await bench.user("cy"), state=MemberState.LEFT, seen=1, seen_messages=1)
            late = await bench.member(room, await bench.user("dee"), seen=3, seen_messages=3)
            await bench.member(hall, user)
            for event_id, expected in ((1, []), (2, [early]), (3, [early, invited]), (4, [early, invited, late])):
                assert_same((await bench.scene(room.id, Needs(behind=event_id))).members, expected)
            await moved(bench, early, 3, 3)
            assert_same((await bench.scene(room.id, Needs(behind=3, members=(late.id,)))).members, [invited, late])
