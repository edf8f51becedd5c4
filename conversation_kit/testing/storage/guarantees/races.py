"""Races: of transitions that exclude each other one happens, and the others see that it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import NotFound, Rejected
from conversation_kit.domain.models import Member, ReceiptKind
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.testing.harness.concurrency import failures, together
from conversation_kit.testing.harness.harness import APP, INVITED, JOINED, Contract
from conversation_kit.testing.harness.writes import delete_user, update_user


class RacesContract(Contract):
    """Whoever decides has the conversation to itself, and its users hold still."""

    async def test_a_state_is_left_once(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, room = await bench.user("ana"), await bench.conversation()
            member = await bench.member(room, ana, INVITED)

            def join(scene: Scene) -> Changes[None]:
                (found,) = scene.members
                if found.state is not INVITED:
                    raise Rejected("test:error:late", "Somebody was faster.")
                draft = Draft(scene, bench.clock())
                draft.save_member(replace(found, state=JOINED))
                draft.append("member:joined", {})
                return draft.done(None)

            outcomes = await together(*[partial(bench.storage.change, APP, room.id, Needs("ana", members=(member.id,)), join)] * 16)
            assert Counter(type(outcome) for outcome in outcomes) == {Changes: 1, Rejected: 15}
            assert len(await bench.log(room.id)) == 1
            assert (await bench.stored(room)).joined_members == 1

    async def test_the_last_seat_is_taken_once(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            users = [await bench.user(f"user {number}") for number in range(16)]

            def join(scene: Scene) -> Changes[None]:
                draft = Draft(scene, bench.clock())
                if draft.conversation.active_members >= 5:
                    raise Rejected("test:error:full", "Full.")
                assert scene.user is not None
                assert not scene.members
                draft.save_member(bench.make_member(draft.conversation, scene.user))
                return draft.done(None)

            outcomes = await together(*[partial(bench.storage.change, APP, room.id, Needs(user_id=user.id), join) for user in users])
            assert Counter(type(outcome) for outcome in outcomes) == {Changes: 5, Rejected: 11}
            conversation, members = await bench.storage.get_conversation(bench.access(), room.id, 100)
            assert conversation.active_members == conversation.joined_members == len(members) == 5

    async def test_a_user_joins_once(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, room = await bench.user("ana"), await bench.conversation()

            def join(scene: Scene) -> Changes[Member]:
                draft = Draft(scene, bench.clock())
                member = next(iter(scene.members_of(scene.caller)), None) or bench.make_member(draft.conversation, ana)
                draft.save_member(replace(member, media={"times": (member.media or {"times": 0})["times"] + 1}))
                return draft.done(member)

            assert failures(await together(*[partial(bench.storage.change, APP, room.id, Needs("ana"), join)] * 16)) == []
            _, (member,) = await bench.storage.get_conversation(bench.access(), room.id, 100)
            assert member.media == {"times": 16}

    async def test_of_many_receipts_of_a_member_one_is_kept(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            ana = await bench.member(room, await bench.user("ana"))
            (event,) = await bench.say(room.id, "one")
            outcomes = await together(*[partial(bench.receive, event, ana, ReceiptKind.SEEN, id) for id in range(2, 18)])
            assert failures(outcomes) == []
            (kept,) = (await bench.storage.get_event(bench.access(), room.id, 1)).receipts
            assert kept in outcomes

    async def test_a_destruction_comes_before_or_after_a_change(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation("room")
            talk = [partial(bench.say, room.id, str(number)) for number in range(8)]
            outcomes = await together(*talk, partial(bench.destroy, room), *talk)
            assert outcomes[8] is None
            assert {type(error) for error in failures(outcomes)} <= {NotFound}
            ids = [outcome[0].id for outcome in outcomes if isinstance(outcome, list)]
            assert sorted(id or 0 for id in ids) == list(range(1, len(ids) + 1))
            again = await bench.conversation("room", id=room.id)
            assert await bench.log(again.id) == []

    async def test_a_user_is_deleted_or_joins_but_not_both(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()

            def join(scene: Scene) -> Changes[Member]:
                if scene.user is None:
                    raise Rejected("test:error:gone", "There is no such user.")
                draft = Draft(scene, bench.clock())
                member = bench.make_member(draft.conversation, scene.user)
                draft.save_member(member)
                return draft.done(member)

            for number in range(8):
                user = await bench.user(f"user {number}")
                joining: Callable[[], Awaitable[object]] = partial(bench.storage.change, APP, room.id, Needs(user_id=user.id), join)
                deleting: Callable[[], Awaitable[object]] = partial(delete_user, bench.storage, APP, user.id)
                outcomes = await together(*([joining, deleting] if number % 2 else [deleting, joining]))
                joined, deleted = outcomes if number % 2 else outcomes[::-1]
                assert deleted is not isinstance(joined, Changes), (joined, deleted)
                found = await bench.storage.list_memberships(APP, user.id, Page(), bench.clock())
                assert found.total == isinstance(joined, Changes)

    async def test_who_joins_while_being_renamed_is_a_member_under_the_new_name(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, rooms = await bench.user("ana"), [await bench.conversation() for _ in range(8)]

            def join(scene: Scene) -> Changes[None]:
                assert scene.user is not None
                draft = Draft(scene, bench.clock())
                draft.save_member(bench.make_member(draft.conversation, scene.user))
                return draft.done(None)

            async def rename() -> None:
                await update_user(bench.storage, APP, user.id, lambda old: replace(old, name="eve"))

            joins = [partial(bench.storage.change, APP, room.id, Needs(user_id=user.id), join) for room in rooms]
            assert failures(await together(*joins[:4], rename, *joins[4:])) == []
            found = await bench.storage.list_memberships(APP, user.id, Page(), bench.clock())
            assert [member.user_name for _, member in found.items] == ["eve"] * 8
