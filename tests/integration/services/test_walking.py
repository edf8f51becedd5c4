"""Lists that are longer than a page."""

from __future__ import annotations

import pytest

from conversation_kit import Forbidden, InvalidInput, MemberState, NotFound
from tests.support.world import open_world

pytestmark = pytest.mark.anyio


async def test_all_rows_of_every_list_are_walked_through() -> None:
    async with open_world(populate=False) as world:
        kit = world.kit
        rooms = [(await kit.conversations.create()).id for _ in range(203)]
        users = [(await kit.users.create(f"user {number}")).id for number in range(203)]
        legs = [(await kit.legs.start(rooms[0], "phone")).id for _ in range(203)]
        members = [(await kit.members.join(rooms[0], user_id=user)).id for user in users]
        assert [room.id async for room in kit.conversations.all()] == rooms
        assert [user.id async for user in kit.users.all()] == users
        assert [leg.id async for leg in kit.legs.all()] == legs
        assert [member.id async for member in kit.members.all(rooms[0])] == members
        assert [member.id async for member in kit.members.all(rooms[1])] == []


async def test_members_are_found_wherever_they_stand_in_the_list() -> None:
    async with open_world() as world:
        kit, room = world.kit, world.conversation
        for _ in range(120):
            await kit.members.remove(room, (await kit.members.join(room, user_name="dee")).id)
        late = await kit.members.join(room, user_name="dee")
        assert await kit.members.find(room, user_name="dee", state="joined") == [late]
        assert [member.user_name for member in await kit.members.find(room, state="joined")] == ["ana", "max", "dee"]
        assert len(await kit.members.find(room, user_id=world.users["dee"])) == 121
        assert await kit.members.find(room, user_name="nobody") == []
        with pytest.raises(InvalidInput, match="state"):
            await kit.members.find(room, state="gone")
        with pytest.raises(NotFound):
            await kit.members.find("CON-none")
        with pytest.raises(NotFound):
            [member async for member in kit.as_user("dee").members.all("CON-none")]


async def test_a_user_is_found_or_created() -> None:
    async with open_world(populate=False) as world:
        made = await world.kit.users.find_or_create("ana", display_name="Ana")
        assert made.display_name == "Ana"
        assert await world.kit.users.find_or_create("ana", display_name="Another") == made
        assert (await world.kit.users.list()).total == 1
        with pytest.raises(Forbidden):
            await world.kit.as_user("ana").users.find_or_create("bo")


async def test_members_in_a_state_are_listed_and_walked_through_alike() -> None:
    async with open_world() as world:
        kit, room = world.kit, world.conversation
        for given, states in (("joined", {"joined"}), (MemberState.LEFT, {"left"}), (["invited", MemberState.LEFT], {"invited", "left"})):
            expected = [member for member in (await kit.members.list(room)).items if member.state in states]
            found = await kit.members.list(room, state=given)
            assert (list(found.items), found.total) == (expected, len(expected))
            assert [member async for member in kit.members.all(room, state=given)] == expected
            assert await kit.members.find(room, state=given) == expected
        for wrong in ("gone", ["joined", "gone"], []):
            with pytest.raises(InvalidInput, match="invited, joined, left"):
                await kit.members.list(room, state=wrong)


async def test_no_member_is_missed_when_others_leave_meanwhile() -> None:
    async with open_world() as world:
        kit = world.kit
        room = (await kit.conversations.create()).id
        members = [await kit.members.join(room, user_id=(await kit.users.create(f"member-{n}")).id) for n in range(130)]
        seen: list[str] = []
        async for member in kit.members.all(room, state="joined"):
            if not seen:
                for gone in members[:20]:
                    await kit.members.remove(room, gone.id)
            seen.append(member.id)
        assert seen[-30:] == [member.id for member in members[-30:]]
        assert len(seen) == len(set(seen))
