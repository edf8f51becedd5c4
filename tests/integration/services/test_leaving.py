"""A user who is deleted leaves every conversation first, several at a time, and an error in between is told as it is."""

from __future__ import annotations

import anyio
import pytest

from conversation_kit import MemberLeft, NotFound, Rejected, RemoveMember, UserDeleted
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio
ROOMS = 130


async def test_a_user_in_many_conversations_leaves_each_of_them_once_and_is_gone_then() -> None:
    kit = make_kit()
    told: list[str] = []

    @kit.on(MemberLeft)
    async def left(signal: MemberLeft) -> None:
        told.append(signal.member.conversation_id)

    @kit.on(UserDeleted)
    async def gone(signal: UserDeleted) -> None:
        told.append("gone")

    async with kit.lifespan():
        ana = await kit.users.create("ana")
        rooms = [await kit.conversations.create(f"{number}") for number in range(ROOMS)]
        for room in rooms:
            await kit.members.join(room.id, user_id=ana.id)
        await kit.users.delete(ana.id)
        assert sorted(told[:-1]) == sorted(room.id for room in rooms)
        assert told[-1] == "gone"
        for room in rooms:
            assert [event.type for event in await kit.events.list(room.id)] == ["member:joined", "member:left"]


async def test_a_hook_that_keeps_a_member_keeps_the_user_and_says_so() -> None:
    kit = make_kit()
    async with kit.lifespan():
        ana = await kit.users.create("ana")
        rooms = [await kit.conversations.create(f"{number}") for number in range(20)]
        for room in rooms:
            await kit.members.join(room.id, user_id=ana.id)

        @kit.before(RemoveMember)
        async def keep(command: RemoveMember, context: object) -> None:
            if command.conversation_id == rooms[10].id:
                raise Rejected("shop:error:stays", "She stays.")

        with pytest.raises(Rejected, match="She stays"):
            await kit.users.delete(ana.id)
        assert await kit.users.get(ana.id) == ana
        assert rooms[10].id in {room.id for room, _ in (await kit.users.conversations(ana.id)).items}


async def test_who_is_deleted_twice_at_once_is_gone_and_each_is_told_so() -> None:
    kit = make_kit()
    async with kit.lifespan():
        ana = await kit.users.create("ana")
        for number in range(30):
            await kit.members.join((await kit.conversations.create(f"{number}")).id, user_id=ana.id)
        outcomes: list[str] = []

        async def delete() -> None:
            try:
                await kit.users.delete(ana.id)
                outcomes.append("gone")
            except NotFound:
                outcomes.append("not found")

        async with anyio.create_task_group() as group:
            group.start_soon(delete)
            group.start_soon(delete)
        assert "gone" in outcomes
        assert set(outcomes) <= {"gone", "not found"}
