"""Live events between the event loops of one process, which arrive without anybody looking into the log."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from conversation_kit import MemoryBroker
from conversation_kit.live import dispatcher
from tests.integration.live.taking import ids, take
from tests.support.probes import until_heard
from tests.support.world import make_kit, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not announced is not found."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 3600)
    monkeypatch.setattr(dispatcher, "MEMBERSHIPS_SECONDS", 3600)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'chat.db'}"


@pytest.fixture(params=["asyncio", "trio"])
def elsewhere(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]:
    """Awaits something in an event loop of its own, in another thread."""

    async def run(work: Callable[[], Awaitable[object]]) -> None:
        await anyio.to_thread.run_sync(partial(anyio.run, work, backend=request.param))

    return run


async def test_what_another_event_loop_commits_or_passes_on_arrives_at_once(
    url: str, elsewhere: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
) -> None:
    async with open_world(make_kit(url)) as world, world.kit.subscribe(world.conversation) as events:

        async def say() -> None:
            for number in range(20):
                await world.kit.events.create(world.conversation, "text", {"text": str(number)})
                await world.kit.as_user("ana").events.create(world.conversation, "ephemeral", {"number": number})

        await elsewhere(say)
        got = await take(events, 40)
        assert [id for id in ids(got) if id is not None] == list(range(6, 26))
        assert [event.body["number"] for event in got if event.id is None] == list(range(20))


async def test_an_invitation_and_a_deletion_in_another_event_loop_arrive_at_once(
    url: str, elsewhere: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
) -> None:
    async with open_world(make_kit(url)) as world, world.kit.as_user("dee").feed() as feed:
        await elsewhere(lambda: world.kit.members.invite(world.conversation, user_name="dee"))
        with anyio.fail_after(30):
            assert (await anext(feed)).type == "member:invited"
        await elsewhere(lambda: world.kit.conversations.delete(world.conversation))
        with anyio.fail_after(30):
            assert (await anext(feed)).type == "conversation:removed"


async def test_a_broker_does_not_double_what_another_event_loop_has_passed_on(
    elsewhere: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]],
) -> None:
    broker = MemoryBroker()
    async with open_world(make_kit(broker=broker)) as world:
        other = make_kit(world.kit.storage, broker=broker)
        async with world.kit.subscribe(world.conversation) as same_kit, other.subscribe(world.conversation) as other_kit:
            await until_heard(broker, 2)
            for name in ("ephemeral", "text"):
                await elsewhere(lambda name=name: world.kit.as_user("ana").events.create(world.conversation, name, {"text": "x"}))  # type: ignore[misc]
            for events in (same_kit, other_kit):
                assert [event.type for event in await take(events, 2)] == ["ephemeral", "text"]


async def test_of_what_waits_for_a_busy_event_loop_all_is_read_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "MAX_FROM_ELSEWHERE", 5)
    async with open_world() as world, world.kit.subscribe(world.conversation) as events:

        async def say() -> None:
            for _ in range(50):
                await world.kit.events.create(world.conversation, "text", {"text": "x"})

        # This event loop has no turn before that one is done.

        thread = threading.Thread(target=anyio.run, args=(say,))
        thread.start()
        thread.join()
        assert ids(await take(events, 50)) == list(range(6, 56))
