"""Exclusions from a conversation, blocks against invitations, and counts of the invitations that wait for an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Block, Conversation, Exclusion, ExclusionKind, User
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import Changes, Invitations, Needs
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.harness import (
    APP,
    INVITED,
    JOINED,
    LEFT,
    OTHER,
    Bench,
    Contract,
    assert_pages,
    assert_same,
    no_conversation,
    no_user,
)
from conversation_kit.testing.harness.writes import add_block, delete_user, remove_block

BANNED, REMOVED = ExclusionKind.BANNED, ExclusionKind.REMOVED


async def exclude(bench: Bench, room: Conversation, user: User, kind: ExclusionKind = BANNED, reason: str | None = None) -> Exclusion:
    """Store an exclusion, together with an event, and return it."""
    exclusion = Exclusion(room.application_id, room.id, user.id, kind, bench.tick(), "USR-by", reason)

    def work(draft: Draft) -> None:
        draft.append("member:banned", {})
        draft.exclude(exclusion)

    await bench.edit(room.id, work, application_id=room.application_id)
    return exclusion


async def seen(bench: Bench, room: Conversation, user: User) -> Exclusion | None:
    """Return the exclusion of the user that a decision is shown, by id and by name alike."""
    by_id = await bench.scene(room.id, Needs(user_id=user.id, exclusion=True), room.application_id)
    by_name = await bench.scene(room.id, Needs(user_name=user.name, exclusion=True), room.application_id)
    assert_same(by_id.exclusion, by_name.exclusion)
    return by_id.exclusion


async def invitations(bench: Bench, room: Conversation, caller: str | None, user: User) -> Invitations:
    """Return the invitations between the two that a decision is shown."""
    return (await bench.scene(room.id, Needs(caller=caller, user_id=user.id, invitations=True), room.application_id)).invitations


class RightsContract(Contract):
    """Exclusions are a conversation's, blocks a user's, and neither says anything of other applications."""

    async def test_an_exclusion_is_seen_by_decisions_that_ask_for_it_and_lossless(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, ana, bo = await bench.conversation(), await bench.conversation(), await bench.user("ana"), await bench.user("bo")
            await bench.user("ana", OTHER)
            exclusion = await exclude(bench, room, ana, reason="ünï 🙂 ' \\")
            assert_same(await seen(bench, room, ana), exclusion)
            assert await seen(bench, hall, ana) is None
            assert await seen(bench, room, bo) is None
            assert (await bench.scene(room.id, Needs(user_id=ana.id))).exclusion is None, "nobody asked"
            assert (await bench.scene(room.id, Needs(caller="ana", exclusion=True))).exclusion is None, "the caller is not acted upon"

    async def test_a_later_exclusion_of_the_same_user_replaces_the_earlier_one(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, ana = await bench.conversation(), await bench.user("ana")
            await exclude(bench, room, ana, REMOVED, "first")
            last = await exclude(bench, room, ana, BANNED)
            assert_same(await seen(bench, room, ana), last)
            assert (await bench.storage.list_exclusions(bench.access(), room.id, Page())).total == 1

    async def test_an_exclusion_that_is_lifted_is_gone_and_may_come_again(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, ana, bo = await bench.conversation(), await bench.user("ana"), await bench.user("bo")
            stays = await exclude(bench, room, bo)
            for kind in (REMOVED, BANNED):
                await exclude(bench, room, ana, kind)
                await bench.edit(room.id, lambda draft: draft.lift(ana.id))
                assert await seen(bench, room, ana) is None
                assert_same(list((await bench.storage.list_exclusions(bench.access(), room.id, Page())).items), [stays])
            await bench.edit(room.id, lambda draft: draft.lift(ana.id))
            again = await exclude(bench, room, ana)
            assert_same(await seen(bench, room, ana), again)

    async def test_exclusions_are_listed_by_creation_for_who_may_read_the_conversation(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, ana = await bench.conversation(), await bench.conversation(), await bench.user("ana")
            await exclude(bench, hall, ana)
            found = [await exclude(bench, room, await bench.user(f"user {number}")) for number in range(6)]
            await assert_pages(lambda page: bench.storage.list_exclusions(bench.access(), room.id, page), found)
            with no_conversation():
                await bench.storage.list_exclusions(bench.access(ana), room.id, Page())
            with no_conversation():
                await bench.storage.list_exclusions(bench.access(application_id=OTHER), room.id, Page())

    async def test_exclusions_go_with_their_conversation_and_with_their_user(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, ana, bo = await bench.conversation(), await bench.conversation(), await bench.user("ana"), await bench.user("bo")
            for place in (room, hall):
                for user in (ana, bo):
                    await exclude(bench, place, user)
            await bench.destroy(room)
            with no_conversation():
                await bench.storage.list_exclusions(bench.access(), room.id, Page())
            assert await delete_user(bench.storage, APP, ana.id)
            left = await bench.storage.list_exclusions(bench.access(), hall.id, Page())
            assert [exclusion.user_id for exclusion in left.items] == [bo.id]

    async def test_one_decision_may_exclude_many_and_lift_others(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, users = await bench.conversation(), [await bench.user(f"user {number}") for number in range(4)]
            for user in users[:2]:
                await exclude(bench, room, user)
            more = [Exclusion(APP, room.id, user.id, REMOVED, bench.tick()) for user in users[2:]]
            await bench.commit(room.id, Changes(None, exclusions=more, lifted=[user.id for user in users[:2]]))
            assert_same(list((await bench.storage.list_exclusions(bench.access(), room.id, Page())).items), more)

    async def test_a_block_is_listed_until_it_is_removed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, others = await bench.user("ana"), [await bench.user(f"user {number}") for number in range(6)]
            blocks = [Block(APP, ana.id, user.id, bench.tick()) for user in others]
            for block in blocks:
                assert await add_block(bench.storage, block, 6) is True
            assert await add_block(bench.storage, replace(blocks[0], created=bench.tick()), 6) is True, "the first one stays"
            await add_block(bench.storage, Block(APP, others[0].id, ana.id, bench.tick()), 6)
            await assert_pages(lambda page: bench.storage.list_blocks(APP, ana.id, page), blocks)
            assert await remove_block(bench.storage, APP, ana.id, others[2].id) is True
            assert await remove_block(bench.storage, APP, ana.id, others[2].id) is False
            assert await remove_block(bench.storage, OTHER, ana.id, others[1].id) is False
            assert_same(list((await bench.storage.list_blocks(APP, ana.id, Page())).items), [*blocks[:2], *blocks[3:]])

    async def test_a_user_blocks_no_more_than_so_many_others(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, first, second = [await bench.user(name) for name in ("ana", "bo", "cy")]
            assert await add_block(bench.storage, Block(APP, ana.id, first.id, bench.tick()), 1)
            assert not await add_block(bench.storage, Block(APP, ana.id, second.id, bench.tick()), 1)
            assert (await bench.storage.list_blocks(APP, ana.id, Page())).total == 1
            assert await add_block(bench.storage, Block(APP, ana.id, first.id, bench.tick()), 1), "it is there already"

    async def test_a_block_needs_two_users_and_goes_with_either(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, bo, cy, theirs = *[await bench.user(name) for name in ("ana", "bo", "cy")], await bench.user("dee", OTHER)
            for one, other in ((ana.id, new_id("USR")), (new_id("USR"), ana.id), (ana.id, theirs.id)):
                with no_user():
                    await add_block(bench.storage, Block(APP, one, other, bench.tick()), 9)
            for blocker, blocked in ((ana, bo), (bo, cy), (cy, ana)):
                await add_block(bench.storage, Block(APP, blocker.id, blocked.id, bench.tick()), 9)
            assert await delete_user(bench.storage, APP, bo.id)
            totals = [(await bench.storage.list_blocks(APP, user.id, Page())).total for user in (ana, bo, cy)]
            assert totals == [0, 0, 1]

    async def test_a_decision_sees_how_many_invitations_wait_and_whether_the_caller_is_blocked(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, theirs = await bench.conversation(), await bench.conversation(), await bench.conversation(application_id=OTHER)
            ana, bo, cy = [await bench.user(name) for name in ("ana", "bo", "cy")]
            await bench.member(theirs, await bench.user("ana", OTHER), INVITED, invited_by=bo.id)
            assert await invitations(bench, room, "bo", ana) == Invitations(0, 0, False)
            open = await bench.member(room, ana, INVITED, invited_by=bo.id)
            await bench.member(hall, ana, INVITED, invited_by=bo.id)
            await bench.member(hall, cy, INVITED, invited_by=bo.id)
            await bench.member(hall, ana, INVITED, channel={"type": "phone"}, invited_by=cy.id)
            for state in (JOINED, LEFT):
                await bench.member(room, cy, state, invited_by=bo.id)
            assert await invitations(bench, room, "bo", ana) == Invitations(3, 3, False)
            assert await invitations(bench, room, "cy", ana) == Invitations(1, 3, False)
            assert await invitations(bench, room, None, ana) == Invitations(0, 3, False)
            await add_block(bench.storage, Block(APP, ana.id, bo.id, bench.tick()), 9)
            assert await invitations(bench, room, "bo", ana) == Invitations(3, 3, True)
            assert await invitations(bench, room, "ana", bo) == Invitations(0, 0, False), "a block has a direction"
            await bench.save_member(replace(open, state=JOINED, joined=bench.tick()))
            assert await invitations(bench, room, "bo", ana) == Invitations(2, 2, True)
            await bench.destroy(hall)
            assert await invitations(bench, room, "bo", ana) == Invitations(0, 0, True)
            assert (await bench.scene(room.id, Needs(caller="bo", user_id=ana.id))).invitations == Invitations(), "nobody asked"
