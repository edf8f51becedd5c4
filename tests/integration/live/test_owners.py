"""Streams end with what their user was allowed: when it is renamed, deleted, removed or banned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from conversation_kit import ConversationKit, Event, StreamEnded, Subscription
from conversation_kit.live import dispatcher
from conversation_kit.live.feeds import REMOVED, Feed
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio
SECONDS = 30.0
INVALID = "system:error:invalid-token"
Act = Callable[[ConversationKit, World], Awaitable[Any]]


async def rename(kit: ConversationKit, world: World) -> None:
    await kit.users.update(world.users["ana"], name="ana the second")


async def swap(kit: ConversationKit, world: World) -> None:
    """Somebody else gets the name at once, and is joined too."""
    await rename(kit, world)
    await kit.users.create("ana")
    await kit.members.join(world.conversation, user_name="ana")


async def delete(kit: ConversationKit, world: World) -> None:
    await kit.users.delete(world.users["ana"])


async def kick(kit: ConversationKit, world: World) -> None:
    await kit.members.remove(world.conversation, world.members["ana"])


async def ban(kit: ConversationKit, world: World) -> None:
    await kit.members.ban(world.conversation, user_name="ana")


async def last_code(stream: Subscription | Feed) -> str:
    """With which code a stream ends, whatever came before."""
    with anyio.fail_after(SECONDS), pytest.raises(StreamEnded) as ended:
        async for _ in stream:
            pass
    return ended.value.code


@asynccontextmanager
async def two_processes(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[World, ConversationKit]]:
    """A world, and another kit over the same database."""
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(storage=url, **options) as world:
        other = make_kit(url, **options)
        async with other.lifespan():
            yield world, other


@pytest.mark.parametrize(
    ("act", "code"), [(rename, INVALID), (swap, INVALID), (kick, "conversation:error:not-found"), (ban, "conversation:error:not-found")]
)
async def test_a_stream_of_a_conversation_ends(act: Act, code: str) -> None:
    async with open_world() as world, world.kit.as_user("ana").subscribe(world.conversation) as stream:
        await act(world.kit, world)
        assert await last_code(stream) == code


@pytest.mark.parametrize("act", [rename, swap, delete])
async def test_a_stream_that_authorize_lets_through_ends_with_its_user(act: Act) -> None:
    async with open_world(authorize=lambda request: True if request.action == "events.list" else None) as world:
        await kick(world.kit, world)
        async with world.kit.as_user("ana").subscribe(world.conversation) as stream:
            await world.say(who="max")
            await act(world.kit, world)
            assert await last_code(stream) == INVALID


@pytest.mark.parametrize("act", [rename, delete])
async def test_what_another_process_does_ends_streams_too(act: Act, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "OWNERS_SECONDS", 0.3)
    async with two_processes(tmp_path, authorize=lambda request: True if request.action == "events.list" else None) as (world, other):
        await kick(world.kit, world)
        async with world.kit.as_user("ana").subscribe(world.conversation) as stream:
            await act(other, world)
            assert await last_code(stream) == INVALID


@pytest.mark.parametrize("act", [rename, swap, delete])
async def test_a_feed_ends_with_its_user(act: Act) -> None:
    async with open_world() as world, world.kit.as_user("ana").feed() as feed:
        await act(world.kit, world)
        code = await last_code(feed)
        assert code == ("system:error:permission" if act is swap else INVALID)


@pytest.mark.parametrize("act", [kick, ban])
async def test_of_a_conversation_that_its_user_was_removed_from_a_feed_gives_no_more(act: Act) -> None:
    async with open_world() as world, world.kit.as_user("ana").feed() as feed:
        await act(world.kit, world)
        await world.kit.events.create(world.conversation, "text", {"text": "without ana"})
        got: list[Event] = []
        with anyio.fail_after(SECONDS):
            async for event in feed:
                got.append(event)
                if event.type == REMOVED:
                    break
        assert [event.type for event in got] == ["member:left", REMOVED]


async def test_who_is_not_concerned_goes_on_listening() -> None:
    async with (
        open_world() as world,
        world.kit.as_user("max").subscribe(world.conversation) as stream,
        world.kit.subscribe(world.conversation) as admins,
    ):
        await world.kit.users.update(world.users["max"], display_name="Max!")
        await rename(world.kit, world)
        await world.kit.events.create(world.conversation, "text", {"text": "on"})
        with anyio.fail_after(SECONDS):
            assert (await anext(stream)).body == (await anext(admins)).body == {"text": "on"}
