"""Whose right it is that a conversation ends by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from conversation_kit import AccessRequest, Context, ConversationDeleted, DeleteConversation, Forbidden, HookFailed, NotFound, Rejected
from conversation_kit.testing import FakeClock
from tests.support.probes import sweep_again
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio
TTL = {"properties": {"ttl": 1}}


@asynccontextmanager
async def clocked(**options: Any) -> AsyncIterator[tuple[World, FakeClock]]:
    clock = FakeClock()
    async with open_world(make_kit(clock=clock, **options)) as world:
        yield world, clock


async def is_there(world: World, conversation: str) -> bool:
    try:
        await world.kit.conversations.retrieve(conversation)
    except NotFound:
        return False
    return True


async def properties(world: World, conversation: str) -> Any:
    return (await world.kit.conversations.retrieve(conversation))[0].properties


async def empty(world: World, conversation: str) -> None:
    """Let everybody leave."""
    for member in (await world.kit.members.list(conversation)).items:
        if member.is_active:
            await world.kit.members.remove(conversation, member.id)


async def test_who_may_not_delete_a_conversation_cannot_have_it_expire() -> None:
    async with clocked() as (world, clock):
        await world.say()
        for who in ("ana", "dee"):
            if who == "dee":
                await world.kit.as_user("dee").members.join(world.conversation)
            refused = await world.json("PUT", world.path, who, status=403, json={**TTL, "display_name": "x"})
            assert refused["code"] == "system:error:permission"
            await world.json("PUT", world.path, who, json={"properties": {"note": who}})
            assert await properties(world, world.conversation) == {"note": who}
        assert (await world.kit.conversations.retrieve(world.conversation))[0].display_name == "The Room", "wholly or not at all"
        await empty(world, world.conversation)
        clock.advance(100 * 365 * 86400)
        assert await world.kit.conversations.sweep() == 0
        assert await is_there(world, world.conversation)


async def test_creators_and_admins_set_the_ttl_and_others_do_not_touch_it() -> None:
    async with clocked() as (world, clock):
        own = (await world.kit.as_user("dee").conversations.create(properties={"ttl": 60})).id
        await world.kit.as_user("ana").members.join(own)
        path = f"/conversations/{own}"
        await world.json("PUT", path, "ana", json={"properties": {"note": 1}})
        assert await properties(world, own) == {"note": 1, "ttl": 60}
        for asked in ({"ttl": 0}, {"ttl": 61}, {"ttl": None}, None):
            await world.json("PUT", path, "ana", status=403, json={"properties": asked})
        await world.json("PUT", path, "ana", json={"properties": {"ttl": 60}})
        assert await properties(world, own) == {"note": 1, "ttl": 60}, "it is that already"
        await world.json("PUT", path, "dee", json={"properties": {"ttl": 1}})
        await world.json("PUT", path, json={"properties": {"ttl": 2}})
        await empty(world, own)
        clock.advance(1)
        assert await is_there(world, own)
        clock.advance(1)
        assert not await is_there(world, own)


async def test_a_ttl_is_refused_to_whom_authorize_refuses_to_delete() -> None:
    asked: list[AccessRequest] = []

    def authorize(request: AccessRequest) -> bool | None:
        asked.append(request)
        return request.principal.user_name == "max" if request.action == "conversations.delete" else None

    async with clocked(authorize=authorize) as (world, _):
        refused = await world.json("POST", "/conversations", "ana", status=403, json=TTL)
        assert refused["code"] == "system:error:permission"
        own = (await world.kit.as_user("ana").conversations.create()).id
        with pytest.raises(Forbidden):
            await world.kit.as_user("ana").conversations.update(own, properties={"ttl": 1})
        await world.kit.as_user("ana").conversations.update(own, properties={"note": 1})
        assert asked[-1].conversation_id == own
        await world.json("PUT", world.path, "max", json=TTL)
        await world.json("POST", "/conversations", "max", json=TTL)
        await world.kit.conversations.create(properties={"ttl": 1})


async def test_that_authorize_allows_to_change_a_conversation_does_not_allow_to_let_it_expire() -> None:
    async with clocked(authorize=lambda request: True if request.action == "conversations.update" else None) as (world, _):
        await world.json("PUT", world.path, "dee", json={"display_name": "x"})
        await world.json("PUT", world.path, "dee", status=404, json=TTL)
        await world.json("PUT", world.path, "ana", status=403, json=TTL)


async def test_expiry_passes_through_the_hooks_of_deletion() -> None:
    async with clocked() as (world, clock):
        kit, seen, deleted = world.kit, [], []
        kept = (await kit.as_user("ana").conversations.create("kept", properties={"ttl": 60})).id
        gone = (await kit.as_user("ana").conversations.create("gone", properties={"ttl": 60})).id

        @kit.before(DeleteConversation)
        def keep(command: DeleteConversation, context: Context) -> None:
            seen.append((command, context.principal.user_name, context.principal.trusted))
            if command.conversation_id == kept:
                raise Rejected("shop:error:archive", "This one is kept.")

        kit.on(ConversationDeleted)(lambda signal: deleted.append(signal.conversation.id))
        clock.advance(60)
        await kit.as_user("max").conversations.create("gone")  # takes a name that has become free
        assert await kit.conversations.sweep() == 0
        assert sorted(command.conversation_id for command, *_ in seen) == sorted([kept, gone])
        assert {(command.is_expiry, *who) for command, *who in seen} == {(True, None, True)}
        assert deleted == [gone]
        clock.advance(60)
        assert await is_there(world, kept)
        seen.clear()
        assert await kit.conversations.sweep() == 0
        assert seen == [], "it was asked once"
        await kit.as_user("ana").members.join(kept)
        await empty(world, kept)
        clock.advance(60)
        assert await kit.conversations.sweep() == 0
        assert len(seen) == 1, "and once more, since it became empty again"


async def test_a_hook_that_fails_puts_expiry_off_and_is_in_nobodys_way() -> None:
    async with clocked() as (world, clock):
        kit, broken = world.kit, True
        held = (await kit.conversations.create(properties={"ttl": 60})).id
        await kit.members.invite(held, user_name="dee")

        @kit.before(DeleteConversation)
        def fail(command: DeleteConversation, context: Context) -> None:
            if broken and command.conversation_id == held:
                raise LookupError("the archive is down")

        other = (await kit.conversations.create(properties={"ttl": 60})).id
        clock.advance(60)
        sweep_again(kit)
        await kit.as_user("ana").conversations.create()
        with pytest.raises(HookFailed):
            await kit.conversations.sweep()
        with pytest.raises(HookFailed):
            await kit.users.delete(world.users["dee"])
        assert not await is_there(world, held)
        broken = False
        assert await kit.conversations.sweep() == 1
        assert not await is_there(world, other)
        await kit.users.delete(world.users["dee"])
