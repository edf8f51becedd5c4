"""Members of a conversation and the memberships of a user."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from conversation_kit.domain.errors import NotFound
from conversation_kit.domain.models import Conversation, Member, User
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.harness import APP, INVITED, JOINED, LEFT, Bench, Contract, assert_pages, assert_same, refused

STATES = (LEFT, JOINED, INVITED, LEFT, INVITED, JOINED)


async def crowd(bench: Bench, room: Conversation) -> list[Member]:
    """Store members in all states, and return them, oldest first."""
    return [await bench.member(room, await bench.user(f"user {number}"), state) for number, state in enumerate(STATES)]


async def memberships(bench: Bench, user: User, page: Page = Page()) -> Slice[tuple[Conversation, Member]]:
    """Return the user's memberships now."""
    return await bench.storage.list_memberships(user.application_id, user.id, page, bench.clock())


class MembersContract(Contract):
    """A conversation lists all its members, a user only what it is active in."""

    async def test_a_conversation_comes_with_its_active_members_first_and_each_oldest_first(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            members = await crowd(bench, room)
            await bench.member(hall, await bench.user("elsewhere"))
            ordered = [*[member for member in members if member.is_active], *[member for member in members if not member.is_active]]
            for limit in (0, 1, 3, 4, 5, 6, 100):
                conversation, found = await bench.storage.get_conversation(bench.access(), room.id, limit)
                assert_same(found, ordered[:limit])
                assert_same(conversation, replace(room, active_members=4, joined_members=2))

    async def test_members_are_listed_oldest_first_with_those_that_left(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            members = await crowd(bench, room)
            await bench.member(hall, await bench.user("elsewhere"))
            await assert_pages(lambda page: bench.storage.list_members(bench.access(), room.id, page), members)

    async def test_members_are_listed_by_their_states(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, ana = await bench.conversation(), await bench.conversation(), await bench.user("ana")
            members = [*await crowd(bench, room), *[await bench.member(room, ana, state) for state in STATES]]
            await bench.member(hall, ana)
            for states in ({LEFT}, {JOINED, LEFT}, {INVITED, JOINED}, {INVITED, JOINED, LEFT}):
                wanted = [member for member in members if member.state in states]
                for page in (Page(), Page(2), Page(2, 1), Page(3, 2, descending=True), Page(2, 1, max_bytes=1), Page(9, 50)):
                    found = await bench.storage.list_members(bench.access(ana), room.id, page, frozenset(states))
                    rows = wanted[::-1] if page.descending else wanted
                    assert_same(found.items, rows[page.index :][: 1 if page.max_bytes else page.size])
                    assert found.total == len(wanted), "the total counts what the filter lets through"

    async def test_a_member_keeps_its_place_in_the_list_when_its_state_changes(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            members = await crowd(bench, room)
            members[2] = replace(members[2], state=JOINED, joined=bench.tick())
            members[1] = replace(members[1], state=LEFT, left=bench.tick(), media={"audio": False})
            await bench.save_member(members[2])
            await bench.save_member(members[1])
            await assert_pages(lambda page: bench.storage.list_members(bench.access(), room.id, page), members)
            _, found = await bench.storage.get_conversation(bench.access(), room.id, 10)
            assert_same(found, [members[number] for number in (2, 4, 5, 0, 1, 3)])

    async def test_a_conversation_without_members_has_an_empty_list(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            found = await bench.storage.list_members(bench.access(), (await bench.conversation()).id, Page())
            assert list(found.items) == []
            assert found.total == 0

    async def test_a_member_is_found_by_its_id_in_its_conversation_only(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, user = await bench.conversation(), await bench.conversation(), await bench.user()
            for state in (LEFT, INVITED, JOINED):
                member = await bench.member(room, user, state)
                found = await bench.storage.get_member(bench.access(), room.id, member.id)
                assert_same(found, member)
                assert found.state is state, "the enum's member, not its text"
                with refused(NotFound, "member:error:not-found"):
                    await bench.storage.get_member(bench.access(), hall.id, member.id)
            with refused(NotFound, "member:error:not-found"):
                await bench.storage.get_member(bench.access(user), room.id, new_id("MEM"))

    async def test_a_users_memberships_are_listed_by_creation_of_the_conversation(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, other = await bench.user("ana"), await bench.user("bo")
            instants = [bench.tick() for _ in range(6)]
            pairs: list[tuple[Conversation, Member]] = []
            for number in (3, 0, 5, 1, 4, 2):
                room = await bench.conversation(created=instants[number])
                await bench.member(room, other)
                member = await bench.member(room, user, JOINED if number % 2 else INVITED)
                pairs.append((await bench.stored(room), member))
            pairs.sort(key=lambda pair: pair[0].created)
            await assert_pages(lambda page: memberships(bench, user, page), pairs)

    async def test_a_user_with_two_channels_in_a_conversation_has_two_memberships(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, room, hall = await bench.user(), await bench.conversation(), await bench.conversation()
            last = await bench.member(hall, user)
            app, phone = await bench.member(room, user), await bench.member(room, user, channel={"type": "phone", "number": "49"})
            found = await memberships(bench, user)
            assert_same([member for _, member in found.items], [app, phone, last])
            assert found.total == 3
            assert [(await memberships(bench, user, Page(size=1, index=index))).items[0][1].id for index in range(3)] == [
                app.id,
                phone.id,
                last.id,
            ], "pages overlap nowhere"

    async def test_the_newest_memberships_are_joined_ones_first(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, other = await bench.user("ana"), await bench.user("bo")
            instants = [bench.tick() for _ in range(6)]
            pairs: list[tuple[Conversation, Member]] = []
            for number in (3, 0, 5, 1, 4, 2):
                room = await bench.conversation(created=instants[number])
                await bench.member(room, other)
                await bench.member(room, user, LEFT)
                member = await bench.member(room, user, JOINED if number in (0, 2, 3) else INVITED)
                pairs.append((await bench.stored(room), member))
            pairs.sort(key=lambda pair: (pair[1].state is JOINED, pair[0].created), reverse=True)
            ids, storage = [room.id for room, _ in pairs], bench.storage
            for limit in (1, 3, 4, 6, 10):
                found = await storage.newest_memberships(APP, user.id, limit, bench.clock())
                assert_same(found.items, pairs[:limit])
                assert found.total == 6
            for among in ([], ids[:1], [ids[4], ids[1], ids[4], new_id("CON")], ids, [new_id("CON") for _ in range(70)] + ids[2:]):
                wanted = [pair for pair in pairs if pair[0].id in among]
                found = await storage.newest_memberships(APP, user.id, 3, bench.clock(), among)
                assert_same(found.items, wanted[:3])
                assert found.total == len(wanted)
            await bench.edit(ids[0], lambda draft: draft.update(expires_at=bench.clock()))
            assert (await storage.newest_memberships(APP, user.id, 9, bench.clock())).total == 5
            assert (await storage.newest_memberships(APP, user.id, 9, bench.clock(), ids)).total == 5
            assert (await storage.newest_memberships("another", user.id, 9, bench.clock(), ids)).total == 0

    async def test_memberships_that_were_left_are_not_listed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, room, hall = await bench.user(), await bench.conversation(), await bench.conversation()
            await bench.member(room, user, LEFT)
            member = await bench.member(hall, user)
            assert [found.id for _, found in (await memberships(bench, user)).items] == [member.id]
            await bench.save_member(replace(member, state=LEFT, left=bench.tick()))
            assert (await memberships(bench, user)).total == 0
            again = await bench.member(room, user, INVITED)
            assert [found.id for _, found in (await memberships(bench, user)).items] == [again.id]

    async def test_memberships_in_expired_conversations_are_not_listed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, room = await bench.user(), await bench.conversation()
            member = await bench.member(room, user, INVITED)
            expires_at = bench.clock() + timedelta(minutes=1)
            await bench.edit(room.id, lambda draft: draft.update(expires_at=expires_at))
            storage, early = bench.storage, timedelta(milliseconds=-1)
            before = await storage.list_memberships(APP, user.id, Page(), expires_at + early)
            assert_same([found for _, found in before.items], [member])
            after = await storage.list_memberships(APP, user.id, Page(), expires_at)
            assert list(after.items) == []
            assert after.total == 0

    async def test_memberships_in_destroyed_conversations_are_not_listed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, room, hall = await bench.user(), await bench.conversation(), await bench.conversation()
            await bench.member(room, user)
            stays = await bench.member(hall, user)
            await bench.destroy(room)
            found = await memberships(bench, user)
            assert_same([member for _, member in found.items], [stays])
            assert found.total == 1
