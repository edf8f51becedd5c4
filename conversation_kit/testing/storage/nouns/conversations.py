"""Conversations: their names, lists and expiry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Conversation, MemberState
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.scene import Changes
from conversation_kit.testing.harness.concurrency import together, winner
from conversation_kit.testing.harness.harness import (
    APP,
    OTHER,
    Bench,
    Contract,
    assert_pages,
    assert_ranges,
    assert_same,
    no_conversation,
    taken,
)
from conversation_kit.testing.harness.writes import delete_user

RACERS = 32


def rename(bench: Bench, conversation: Conversation, name: str) -> Callable[[], Awaitable[object]]:
    """Return a task that gives the conversation another name."""
    return lambda: bench.edit(conversation.id, lambda draft: draft.update(name=name))


def listing(bench: Bench, application_id: str = APP) -> Callable[[Page], Awaitable[Slice[Conversation]]]:
    """Return the function that lists the application's conversations."""
    return lambda page: bench.storage.list_conversations(application_id, page, bench.clock())


class ConversationsContract(Contract):
    """Names are unique in an application, lists are by creation, and what has expired is in none."""

    async def test_a_created_conversation_is_found(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            conversation = await bench.conversation("room")
            found, members = await bench.storage.get_conversation(bench.access(), conversation.id, 10)
            assert_same(found, conversation)
            assert list(members) == []

    async def test_a_conversation_name_that_is_taken_is_refused(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            first = await bench.conversation("room")
            with taken("conversation"):
                await bench.conversation("room")
            assert_same((await listing(bench)(Page())).items, [first])

    async def test_another_application_may_use_the_same_conversation_name(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ours, theirs = await bench.conversation("room"), await bench.conversation("room", OTHER)
            assert_same((await listing(bench)(Page())).items, [ours])
            assert_same((await listing(bench, OTHER)(Page())).items, [theirs])
            renamed = await bench.conversation("other")
            await rename(bench, renamed, "hall")()
            await bench.conversation("hall", OTHER)

    async def test_of_32_racers_for_a_conversation_name_exactly_one_wins(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            outcomes = await together(*[partial(bench.conversation, "room") for _ in range(RACERS)])
            winner(outcomes, "conversation")
            assert (await listing(bench)(Page())).total == 1

    async def test_of_32_conversations_renamed_to_the_same_name_exactly_one_gets_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            rooms = [await bench.conversation(f"room {number}") for number in range(RACERS)]
            won = winner(await together(*[rename(bench, room, "hall") for room in rooms]), "conversation")
            names = [(await bench.stored(room)).name for room in rooms]
            assert names == ["hall" if number == won else room.name for number, room in enumerate(rooms)]

    async def test_creations_and_renames_race_for_a_conversation_name_alike(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            rooms = [await bench.conversation(f"room {number}") for number in range(RACERS // 2)]
            racers = [racer for room in rooms for racer in (rename(bench, room, "hall"), partial(bench.conversation, "hall"))]
            winner(await together(*racers), "conversation")
            assert [room.name for room in (await listing(bench)(Page())).items].count("hall") == 1

    async def test_a_rename_frees_the_old_conversation_name(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation("room")
            await rename(bench, room, "hall")()
            assert_same(await bench.stored(room), replace(room, name="hall"))
            await bench.conversation("room")
            with taken("conversation"):
                await bench.conversation("hall")

    async def test_a_rename_to_a_taken_name_is_refused_and_nothing_of_its_change_is_written(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation("room"), await bench.user()
            await bench.conversation("hall")
            leg, member = bench.make_leg(conversation_id=room.id), bench.make_member(room, user)

            def work(draft: Draft) -> None:
                draft.update(name="hall", display_name="The Hall")
                draft.append("text", {"text": "hello"})
                draft.save_member(member)
                draft.save_leg(leg)

            with taken("conversation"):
                await bench.edit(room.id, work)
            found, members = await bench.storage.get_conversation(bench.access(), room.id, 10)
            assert_same(found, room)
            assert list(members) == []
            assert await bench.log(room.id) == []
            assert (await bench.storage.list_legs(APP, Page())).total == 0
            await bench.say(room.id, "the log goes on without a hole")

    async def test_a_conversation_keeps_its_name_through_changes_and_may_be_given_it_again(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation("room")
            await rename(bench, room, "room")()
            await bench.edit(room.id, lambda draft: draft.update(display_name="The Room"))
            await rename(bench, room, "hall")()
            await rename(bench, room, "room")()
            assert_same(await bench.stored(room), replace(room, display_name="The Room"))

    async def test_a_destroyed_conversation_frees_its_name(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            first = await bench.conversation("room")
            await bench.destroy(first)
            second = await bench.conversation("room")
            with no_conversation():
                await bench.stored(first)
            assert_same((await listing(bench)(Page())).items, [second])

    async def test_lists_conversations_by_creation_page_by_page(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await bench.conversation("theirs", OTHER)
            instants = [bench.tick() for _ in range(6)]
            made = [await bench.conversation(created=instants[number]) for number in (3, 0, 5, 1, 4, 2)]
            rows = sorted(made, key=lambda room: room.created)
            await assert_pages(listing(bench), rows)
            await assert_ranges(listing(bench), rows, lambda room: room.created)

    async def test_lists_conversations_of_the_same_instant_by_id(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            now = bench.tick()
            rows = [await bench.conversation(f"room {number}", id=f"CON-{number}", created=now) for number in (4, 1, 3, 0, 2)]
            await assert_pages(listing(bench), sorted(rows, key=lambda room: room.id))

    async def test_an_application_without_conversations_has_an_empty_list(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await bench.conversation("theirs", OTHER)
            found = await listing(bench)(Page())
            assert list(found.items) == []
            assert found.total == 0

    async def test_a_conversation_is_in_the_list_until_the_instant_at_which_it_expires(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            expires_at = bench.clock() + timedelta(minutes=1)
            stays, goes = await bench.conversation(), await bench.conversation(expires_at=expires_at)
            storage, early = bench.storage, timedelta(milliseconds=-1)
            before = await storage.list_conversations(APP, Page(), expires_at + early)
            assert_same(before.items, [stays, goes])
            after = await storage.list_conversations(APP, Page(size=1), expires_at)
            assert_same(after.items, [stays])
            assert after.total == 1

    async def test_names_the_expired_conversations_of_the_application(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            now = bench.clock() + timedelta(minutes=1)
            late = timedelta(milliseconds=1)
            await bench.conversation()
            await bench.conversation(expires_at=now + late)
            await bench.conversation(application_id=OTHER, expires_at=now)
            gone = {(await bench.conversation(expires_at=instant)).id for instant in (now, now - late, bench.clock())}
            found = await bench.storage.expired_conversations(APP, now, 10)
            assert len(found) == 3
            assert set(found) == gone
            some = await bench.storage.expired_conversations(APP, now, 2)
            assert len(some) == len(set(some)) == 2, "at most limit"
            assert set(some) < gone
            assert list(await bench.storage.expired_conversations("app-3", now, 10)) == []

    async def test_names_the_expired_conversation_of_one_name_and_those_of_one_user(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            now = bench.clock() + timedelta(minutes=1)
            ana, bo = await bench.user("ana"), await bench.user("bo")
            rooms = {name: await bench.conversation(name, expires_at=now) for name in ("short", "hall", "attic", "cellar")}
            await bench.conversation("stays")
            await bench.conversation("short", OTHER, expires_at=now)
            for name, user, state in (
                ("hall", ana, MemberState.INVITED),
                ("hall", ana, MemberState.INVITED),
                ("short", bo, MemberState.INVITED),
                ("attic", ana, MemberState.LEFT),
            ):
                await bench.member(rooms[name], user, state)

            async def expired(**those: str) -> list[str]:
                return list(await bench.storage.expired_conversations(APP, now, 10, **those))

            assert await expired(name="short") == [rooms["short"].id]
            for name in ("stays", "SHORT", "nobody's"):
                assert await expired(name=name) == []
            assert await expired(user_id=ana.id) == [rooms["hall"].id], "once, and not where the user has left"
            assert await expired(user_id=bo.id, name="short") == [rooms["short"].id]
            assert await expired(user_id=bo.id, name="hall") == []
            assert await expired(user_id="USR-0") == []

    async def test_a_destroyed_conversation_with_a_long_log_is_gone_at_once_and_in_nobodys_way(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, ana = await bench.conversation("room"), await bench.user("ana")
            member = await bench.member(room, ana)
            for _ in range(12):
                await bench.say(room.id, *["hello"] * 50)
            await bench.destroy(room)
            with no_conversation():
                await bench.storage.get_conversation(bench.access(), room.id, 10)
            with no_conversation():
                await bench.storage.get_event(bench.access(), room.id, 1)
            with no_conversation():
                await bench.storage.get_member(bench.access(), room.id, member.id)
            assert (await bench.storage.list_memberships(APP, ana.id, Page(), bench.clock())).total == 0
            assert await delete_user(bench.storage, APP, ana.id), "a membership of what is gone keeps nobody"
            other = await bench.conversation("room")
            await bench.say(other.id, "hello")
            assert await bench.log(other.id)

    async def test_an_expired_conversation_keeps_its_name_until_it_is_destroyed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation("room", expires_at=bench.clock())
            with taken("conversation"):
                await bench.conversation("room")
            await bench.commit(room.id, Changes(None, destroyed=True))
            await bench.conversation("room")
            assert list(await bench.storage.expired_conversations(APP, bench.clock(), 10)) == []

    async def test_a_conversation_that_is_used_again_does_not_expire(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation(expires_at=bench.clock() + timedelta(minutes=1))
            await bench.edit(room.id, lambda draft: draft.update(expires_at=None))
            bench.clock.advance(3600)
            assert list(await bench.storage.expired_conversations(APP, bench.clock(), 10)) == []
            assert_same(await bench.stored(room), replace(room, expires_at=None))

    async def test_tells_of_many_conversations_at_once_how_far_their_logs_go(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            rooms = [await bench.conversation() for _ in range(3)]
            theirs = await bench.conversation(application_id=OTHER)
            for number, room in enumerate(rooms):
                await bench.say(room.id, *["hello"] * number)
            ids = [room.id for room in (*rooms, theirs)]
            unknown = [f"CON-{number}" for number in range(300)]
            found = await bench.storage.sequence_numbers(APP, [*ids, *unknown], bench.clock())
            assert dict(found) == {room.id: number for number, room in enumerate(rooms)}
            assert dict(await bench.storage.sequence_numbers(APP, [], bench.clock())) == {}
            assert dict(await bench.storage.sequence_numbers("app-3", ids, bench.clock())) == {}

    async def test_of_a_conversation_that_has_expired_or_was_destroyed_there_is_no_sequence_number(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            expires_at = bench.clock() + timedelta(minutes=1)
            stays, goes, gone = await bench.conversation(), await bench.conversation(expires_at=expires_at), await bench.conversation()
            await bench.destroy(gone)
            ids = [stays.id, goes.id, gone.id]
            early = timedelta(milliseconds=-1)
            assert set(await bench.storage.sequence_numbers(APP, ids, expires_at + early)) == {stays.id, goes.id}
            assert set(await bench.storage.sequence_numbers(APP, ids, expires_at)) == {stays.id}
