"""Conversations whose time has run out are removed by requests that come later, and none removes more of them than it has to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conversation_kit import Conflict, ConversationDeleted, ConversationKit, NotFound
from conversation_kit.testing import FakeClock
from tests.support.probes import sweep_again
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio
MANY = 250


@asynccontextmanager
async def many_expired(*, invited: int = 0) -> AsyncIterator[tuple[ConversationKit, list[str]]]:
    """A kit with many conversations whose time has run out, and the names of those that are removed; ana is invited to the first ones."""
    clock = FakeClock()
    kit = make_kit(clock=clock)
    removed: list[str] = []

    @kit.on(ConversationDeleted)
    async def note(signal: ConversationDeleted) -> None:
        removed.append(signal.conversation.name)

    async with kit.lifespan():
        await kit.users.create("ana")
        for number in range(MANY):
            room = await kit.conversations.create(f"{number}", properties={"ttl": 1})
            if number < invited:
                await kit.members.invite(room.id, user_name="ana")
        clock.advance(60)
        yield kit, removed


async def test_once_in_a_while_a_new_conversation_removes_a_hundred_that_have_expired_but_not_the_first_of_a_process() -> None:
    async with many_expired() as (kit, removed):
        await kit.conversations.create("first")
        assert removed == []
        sweep_again(kit)
        await kit.conversations.create("later")
        assert len(removed) == 100
        await kit.conversations.create("soon after")
        assert len(removed) == 100


async def test_a_new_conversation_removes_only_the_expired_one_that_has_its_name() -> None:
    async with many_expired() as (kit, removed):
        await kit.conversations.create("200")
        assert removed == ["200"]
        with pytest.raises(Conflict):
            await kit.conversations.create("200")
        assert removed == ["200"]


async def test_a_rename_removes_only_the_expired_one_that_has_the_name() -> None:
    async with many_expired() as (kit, removed):
        room = await kit.conversations.create("room")
        await kit.conversations.update(room.id, name="200")
        assert removed == ["200"]
        other = await kit.conversations.create("other")
        with pytest.raises(Conflict):
            await kit.conversations.update(other.id, name="200")
        assert removed == ["200"]


async def test_deleting_a_user_removes_only_the_expired_ones_to_which_the_user_is_invited() -> None:
    async with many_expired(invited=120) as (kit, removed):
        ana = await kit.users.named("ana")
        await kit.users.delete(ana.id)
        assert sorted(removed, key=int) == [f"{number}" for number in range(120)]
        with pytest.raises(NotFound):
            await kit.users.named("ana")
