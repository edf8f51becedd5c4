"""Users: their names, lists, updates and removal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from conversation_kit.domain.models import MemberState, User
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.concurrency import failures, together, winner
from conversation_kit.testing.harness.harness import (
    APP,
    INVITED,
    JOINED,
    LEFT,
    OTHER,
    Bench,
    Contract,
    assert_pages,
    assert_ranges,
    assert_same,
    no_user,
    taken,
)
from conversation_kit.testing.harness.writes import delete_user, update_user

RACERS = 32


def rename(bench: Bench, user: User, name: str) -> Callable[[], Awaitable[User]]:
    """Return a task that gives the user another name."""
    return lambda: update_user(bench.storage, user.application_id, user.id, lambda old: replace(old, name=name))


def listing(bench: Bench, application_id: str = APP) -> Callable[[Page], Awaitable[Slice[User]]]:
    """Return the function that lists the application's users."""
    return lambda page: bench.storage.list_users(application_id, page)


class UsersContract(Contract):
    """Names are unique in an application, updates are lossless, and who is a member somewhere cannot be deleted."""

    async def test_a_created_user_is_found_by_id_and_by_name(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user("ana")
            assert_same(await bench.storage.get_user(APP, id=user.id), user)
            assert_same(await bench.storage.get_user(APP, name="ana"), user)

    async def test_a_user_that_the_application_does_not_have_is_not_found(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user("ana", OTHER)
            with no_user():
                await bench.storage.get_user(APP, id=user.id)
            with no_user():
                await bench.storage.get_user(APP, name="ana")
            with no_user():
                await update_user(bench.storage, APP, user.id, lambda old: replace(old, name="eve"))
            with no_user():
                await delete_user(bench.storage, APP, user.id)
            with no_user():
                await bench.storage.get_user(OTHER, id=new_id("USR"))
            assert_same(await bench.storage.get_user(OTHER, id=user.id), user)
            assert (await listing(bench)(Page())).total == 0

    async def test_a_user_name_that_is_taken_is_refused(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            first = await bench.user("ana")
            with taken("user"):
                await bench.user("ana")
            assert_same((await listing(bench)(Page())).items, [first])

    async def test_another_application_may_use_the_same_user_name(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ours, theirs = await bench.user("ana"), await bench.user("ana", OTHER)
            assert_same(await bench.storage.get_user(APP, name="ana"), ours)
            assert_same(await bench.storage.get_user(OTHER, name="ana"), theirs)
            await rename(bench, ours, "eve")()
            assert_same(await bench.storage.get_user(OTHER, name="ana"), theirs)
            await rename(bench, theirs, "eve")()

    async def test_of_32_racers_for_a_user_name_exactly_one_wins(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            winner(await together(*[partial(bench.user, "ana") for _ in range(RACERS)]), "user")
            assert (await listing(bench)(Page())).total == 1

    async def test_of_32_users_renamed_to_the_same_name_exactly_one_gets_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            users = [await bench.user(f"user {number}") for number in range(RACERS)]
            won = winner(await together(*[rename(bench, user, "ana") for user in users]), "user")
            names = [(await bench.storage.get_user(APP, id=user.id)).name for user in users]
            assert names == ["ana" if number == won else user.name for number, user in enumerate(users)]

    async def test_lists_users_by_creation_page_by_page(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await bench.user("theirs", OTHER)
            instants = [bench.tick() for _ in range(6)]
            made = [await bench.user(f"user {number}", created=instants[number]) for number in (3, 0, 5, 1, 4, 2)]
            rows = sorted(made, key=lambda user: user.created)
            await assert_pages(listing(bench), rows)
            await assert_ranges(listing(bench), rows, lambda user: user.created)

    async def test_lists_users_of_the_same_instant_by_id(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            now = bench.tick()
            made = [await bench.user(f"user {number}", id=f"USR-{number}", created=now) for number in (4, 1, 3, 0, 2)]
            await assert_pages(listing(bench), sorted(made, key=lambda user: user.id))

    async def test_an_update_replaces_the_user_and_returns_it(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, other = await bench.user("ana", display_name="Ana", channels={"app": {}}), await bench.user("bo")
            new = replace(
                user, display_name=None, image_url="https://host.test/ana.png", channels={}, updated=bench.tick(), tokens_since=bench.tick()
            )
            assert_same(await update_user(bench.storage, APP, user.id, lambda old: new), new)
            assert_same((await listing(bench)(Page())).items, [new, other])

    async def test_an_update_sees_the_user_as_it_is(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user(channels={"count": 0})

            def count(old: User) -> User:
                return replace(old, channels={"count": old.channels["count"] + 1})

            assert failures(await together(*[lambda: update_user(bench.storage, APP, user.id, count) for _ in range(RACERS)])) == []
            assert (await bench.storage.get_user(APP, id=user.id)).channels == {"count": RACERS}, "no update is lost"

    async def test_what_an_update_raises_is_passed_on_and_nothing_is_written(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user()

            def fail(old: User) -> User:
                raise LookupError("no")

            with pytest.raises(LookupError, match=r"^no$"):
                await update_user(bench.storage, APP, user.id, fail)
            assert_same(await bench.storage.get_user(APP, id=user.id), user)

    async def test_a_renamed_user_is_found_by_its_new_name_and_frees_the_old_one(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user("ana")
            await rename(bench, user, "eve")()
            assert_same(await bench.storage.get_user(APP, name="eve"), replace(user, name="eve"))
            with no_user():
                await bench.storage.get_user(APP, name="ana")
            await bench.user("ana")

    async def test_a_rename_to_a_taken_user_name_is_refused_and_nothing_is_written(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, room = await bench.user("ana"), await bench.conversation()
            eve, member = await bench.user("eve"), await bench.member(room, ana)
            with taken("user"):
                await update_user(bench.storage, APP, ana.id, lambda old: replace(old, name="eve", display_name="Eve"))
            assert_same((await listing(bench)(Page())).items, [ana, eve])
            assert_same(await bench.storage.get_member(bench.access(), room.id, member.id), member)
            await rename(bench, ana, "ana")()

    async def test_a_rename_is_the_new_user_name_of_all_memberships(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, bo = await bench.user("ana"), await bench.user("bo")
            hall, room = await bench.conversation(), await bench.conversation()
            theirs = await bench.conversation(application_id=OTHER)
            own = [await bench.member(where, ana, state) for where, state in ((hall, JOINED), (room, INVITED), (room, LEFT))]
            others = [await bench.member(room, bo), await bench.member(theirs, await bench.user("ana", OTHER))]
            await rename(bench, ana, "eve")()
            for member in (*[replace(member, user_name="eve") for member in own], *others):
                access = bench.access(application_id=member.application_id)
                assert_same(await bench.storage.get_member(access, member.conversation_id, member.id), member)
            scene = await bench.scene(hall.id, Needs(caller="eve"))
            assert [member.user_name for member in scene.members] == ["eve"]

    async def test_the_name_and_the_picture_that_a_user_is_shown_with_follow_in_all_memberships(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana, bo, room = await bench.user("ana"), await bench.user("bo"), await bench.conversation()
            own = [await bench.member(room, ana, state) for state in (JOINED, INVITED, LEFT)]
            other = await bench.member(room, bo, display_name="Bo", image_url="https://pictures.example/bo")
            for shown in (
                {"display_name": "Ana"},
                {"image_url": "https://pictures.example/ana"},
                {"display_name": None, "image_url": None},
            ):
                own = [replace(member, **shown) for member in own]
                await update_user(bench.storage, APP, ana.id, lambda old, shown=shown: replace(old, **shown))  # type: ignore[misc]
                assert_same((await bench.storage.list_members(bench.access(), room.id, Page())).items, [*own, other])
                assert_same((await bench.scene(room.id, Needs(caller="ana"))).members, own[:2])

    @pytest.mark.parametrize("state", [INVITED, JOINED])
    async def test_a_user_with_an_active_membership_is_not_deleted(self, tmp_path: Path, state: MemberState) -> None:
        async with self.bench(tmp_path) as bench:
            user, room = await bench.user(), await bench.conversation()
            await bench.member(room, user, LEFT)
            member = await bench.member(room, user, state)
            assert await delete_user(bench.storage, APP, user.id) is False
            assert_same(await bench.storage.get_user(APP, name=user.name), user)
            assert_same(await bench.storage.get_member(bench.access(), room.id, member.id), member)

    async def test_a_deleted_user_is_gone_and_its_name_is_free(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, other = await bench.user("ana"), await bench.user("bo")
            assert await delete_user(bench.storage, APP, user.id) is True
            with no_user():
                await bench.storage.get_user(APP, id=user.id)
            with no_user():
                await bench.storage.get_user(APP, name="ana")
            with no_user():
                await delete_user(bench.storage, APP, user.id)
            again = await bench.user("ana")
            assert_same((await listing(bench)(Page())).items, [other, again])

    async def test_members_that_left_stay_when_their_user_is_deleted(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, room = await bench.user("ana"), await bench.conversation()
            member = await bench.member(room, user, LEFT)
            assert await delete_user(bench.storage, APP, user.id) is True
            assert_same(await bench.storage.get_member(bench.access(), room.id, member.id), member)
            namesake = await bench.user("ana")
            await rename(bench, namesake, "eve")()
            assert_same(await bench.storage.get_member(bench.access(), room.id, member.id), member)

    async def test_a_user_may_be_deleted_once_it_has_left_or_the_conversation_is_gone(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, hall, room = await bench.user(), await bench.conversation(), await bench.conversation()
            joined = await bench.member(hall, user)
            await bench.member(room, user)
            await bench.save_member(replace(joined, state=LEFT, left=bench.tick()))
            assert await delete_user(bench.storage, APP, user.id) is False
            await bench.destroy(room)
            assert await delete_user(bench.storage, APP, user.id) is True

    async def test_one_of_many_deletions_of_a_user_succeeds(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user()
            outcomes = await together(*[lambda: delete_user(bench.storage, APP, user.id) for _ in range(RACERS)])
            assert outcomes.count(True) == 1
            assert {getattr(error, "code", error) for error in failures(outcomes)} == {"user:error:not-found"}
            assert len(failures(outcomes)) == RACERS - 1
