"""Users, blocks and new conversations in changes: what their decisions see, and what becomes of others that are committed with them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.models import Block, Conversation
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import NO_TIES, Changes, Needs, Scene, Ties
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.concurrency import failures, together
from conversation_kit.testing.harness.harness import APP, INVITED, LEFT, OTHER, Bench, Contract, assert_same
from conversation_kit.testing.harness.writes import add_block, delete_user, update_user


async def ties(bench: Bench, user_id: str, *, blocked_id: str | None = None, memberships: bool = False) -> Ties:
    """Return the ties that a decision on a user is shown."""
    needs = Needs(user_id=user_id, changes_user=True, memberships=memberships, blocked_id=blocked_id)
    return (await bench.storage.change(APP, None, needs, lambda scene: Changes(scene.ties))).result


class UserChangesContract(Contract):
    """Changes of users are changes like others: atomic, one after the other, and no trouble for those beside them."""

    async def test_a_decision_sees_whether_a_user_is_a_member_anywhere(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, room = await bench.user("ana"), await bench.conversation()
            await bench.member(await bench.conversation(application_id=OTHER), await bench.user("ana", OTHER, id=ana.id))
            assert not (await ties(bench, ana.id, memberships=True)).is_member
            await bench.member(room, ana, LEFT)
            assert not (await ties(bench, ana.id, memberships=True)).is_member
            await bench.member(room, ana, INVITED)
            assert (await ties(bench, ana.id, memberships=True)).is_member
            assert await ties(bench, ana.id) == NO_TIES, "nobody asked"
            await bench.destroy(room)
            assert not (await ties(bench, ana.id, memberships=True)).is_member

    async def test_a_decision_sees_whom_a_user_may_block_and_how_many_it_does(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, bo, cy = [await bench.user(name) for name in ("ana", "bo", "cy")]
            block = Block(APP, ana.id, bo.id, bench.tick())
            await add_block(bench.storage, block, 9)
            await add_block(bench.storage, Block(APP, bo.id, ana.id, bench.tick()), 9)
            assert_same(await ties(bench, ana.id, blocked_id=bo.id), Ties(False, bo, block, 1))
            assert_same(await ties(bench, ana.id, blocked_id=cy.id), Ties(False, cy, None, 1))
            assert_same(await ties(bench, cy.id, blocked_id=ana.id), Ties(False, ana, None, 0))
            assert_same(await ties(bench, ana.id, blocked_id="USR-missing"), Ties(False, None, None, 1))
            assert (await ties(bench, "USR-missing", blocked_id=ana.id)).block is None

    async def test_a_user_to_change_is_found_by_name_too(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana = await bench.user("ana")

            def decide(scene: Scene) -> Changes[None]:
                assert scene.user is not None
                return Changes(None, users=[replace(scene.user, name="eve")])

            await bench.storage.change(APP, None, Needs(user_name="ana", changes_user=True), decide)
            assert_same(await bench.storage.get_user(APP, name="eve"), replace(ana, name="eve"))

    async def test_a_new_conversation_comes_with_its_members_and_events(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana = await bench.user("ana")
            room = Conversation(APP, new_id("CON"), "hall", bench.tick())
            member = bench.make_member(room, ana)

            def decide(scene: Scene) -> Changes[Conversation]:
                assert scene.conversation is None
                draft = Draft(replace(scene, conversation=room), bench.clock())
                draft.save_member(member)
                draft.append("member:joined", {"user": "ana"}, sender=member.id)
                changes = draft.done(draft.conversation)
                return replace(changes, conversation=None, new_conversation=draft.conversation)

            stored = (await bench.storage.change(APP, room.id, Needs(caller="ana"), decide)).result
            assert_same(await bench.storage.get_conversation(bench.access(ana), room.id, 9), (stored, [member]))
            assert [event.id for event in await bench.log(room.id)] == [1]
            (event,) = await bench.say(room.id, "goes on")
            assert event.id == 2

    async def test_one_change_may_change_a_user_and_a_conversation(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, room = await bench.user("ana"), await bench.conversation()
            member = await bench.member(room, ana)

            def decide(scene: Scene) -> Changes[None]:
                assert scene.user is not None
                draft = Draft(scene, bench.clock())
                draft.append("custom:renamed", {}, sender=member.id)
                return replace(draft.done(None), users=[replace(scene.user, name="eve")])

            def rename() -> object:
                return bench.storage.change(APP, room.id, Needs(user_id=ana.id, changes_user=True), decide)

            said = [partial(bench.say, room.id, f"{number}") for number in range(8)]
            assert failures(await together(*said, rename, *said)) == []  # type: ignore[arg-type]
            assert (await bench.storage.get_member(bench.access(), room.id, member.id)).user_name == "eve"
            assert [event.id for event in await bench.log(room.id)] == list(range(1, 18))

    async def test_users_who_change_themselves_are_seen_as_they_are_by_then(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana = await bench.user("ana")

            def decide(scene: Scene) -> Changes[None]:
                assert scene.user is not None
                assert_same(scene.caller, scene.user)
                number = int(scene.user.display_name or 0)
                return Changes(None, users=[replace(scene.user, display_name=f"{number + 1}")])

            needs = Needs(caller="ana", user_id=ana.id, changes_user=True)
            changes = [partial(bench.storage.change, APP, None, needs, decide)] * 16
            assert failures(await together(*changes)) == []
            assert (await bench.storage.get_user(APP, id=ana.id)).display_name == "16"

    async def test_a_name_that_is_taken_is_no_business_of_those_beside(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, hall = await bench.user("ana"), await bench.conversation("hall")
            bo = await bench.user("bo")
            good = [partial(bench.user, f"user {number}") for number in range(8)]
            rooms = [partial(bench.conversation, f"room {number}") for number in range(8)]
            talk = [partial(bench.say, hall.id, f"{number}") for number in range(8)]
            twins = [partial(bench.user, "dee"), partial(bench.conversation, "den")]
            bad = [
                partial(bench.user, "ana"),
                partial(bench.conversation, "hall"),
                partial(update_user, bench.storage, APP, bo.id, lambda old: replace(old, name="ana")),
            ]
            outcomes = await together(*good, *bad, *twins, *rooms, *twins, *talk)  # type: ignore[arg-type]
            lost = failures(outcomes)
            assert all(isinstance(error, Conflict) for error in lost), lost
            assert sorted(str(getattr(error, "code", error)) for error in lost) == [
                *["conversation:error:duplicate-name"] * 2,
                *["user:error:duplicate-name"] * 3,
            ]
            users = [user.name for user in (await bench.storage.list_users(APP, Page())).items]
            assert sorted(users) == ["ana", "bo", "dee", *[f"user {number}" for number in range(8)]]
            assert (await bench.storage.list_conversations(APP, Page(), bench.clock())).total == 10
            assert [event.id for event in await bench.log(hall.id)] == list(range(1, 9))
            assert_same(await bench.storage.get_user(APP, name="ana"), ana)

    async def test_users_that_are_made_renamed_and_removed_at_once_come_one_after_the_other(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            users = [await bench.user(f"user {number}") for number in range(8)]
            renames = [partial(update_user, bench.storage, APP, user.id, lambda old: replace(old, name=f"{old.name}!")) for user in users]
            removals = [partial(delete_user, bench.storage, APP, user.id) for user in users[::2]]
            outcomes = await together(*renames, *removals, *renames)
            assert {getattr(error, "code", error) for error in failures(outcomes)} <= {"user:error:not-found"}
            left = (await bench.storage.list_users(APP, Page())).items
            assert [user.name for user in left] == [f"user {number}!!" for number in (1, 3, 5, 7)]
