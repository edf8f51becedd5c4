"""Receivers in the background: no request waits for them, and they are many, cut and waited for within bounds."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from conversation_kit import EventCreated
from conversation_kit import kit as kit_module
from conversation_kit.hooks import background
from conversation_kit.hooks.bounds import MAX_DEPTH
from tests.support.probes import until_background_is_done
from tests.support.world import make_kit, open_world

pytestmark = pytest.mark.anyio


async def test_the_request_is_answered_before_a_receiver_in_the_background_is_done() -> None:
    async with open_world() as world:
        answered, done = anyio.Event(), anyio.Event()
        stuck = threading.Event()

        @world.kit.on("text", background=True)
        async def slow(signal: EventCreated) -> None:
            await answered.wait()
            stuck.set()

        @world.kit.on("text", background=True)
        def slow_sync(signal: EventCreated) -> None:
            stuck.wait(30)
            anyio.from_thread.run_sync(done.set)

        with anyio.fail_after(30):
            await world.say()
            answered.set()
            await done.wait()


@pytest.mark.parametrize("ends", ["stop", "close"])
async def test_what_is_under_way_is_waited_for_at_the_end(ends: str) -> None:
    kit = make_kit()
    done: list[str] = []

    @kit.on("custom:x", background=True)
    async def slow(signal: EventCreated) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        # The storage is still open.
        done.append((await kit.conversations.get(signal.event.conversation_id)).id)

    if ends == "stop":
        async with kit.lifespan():
            room = await kit.conversations.create()
            await kit.events.create(room.id, "custom:x")
    else:
        room = await kit.conversations.create()
        await kit.events.create(room.id, "custom:x")
        await kit.close()
    assert done == [room.id]


async def test_what_is_not_done_in_time_is_cut_at_the_end_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kit_module, "DRAIN_SECONDS", 0.05)
    kit = make_kit()
    cut: list[bool] = []

    @kit.on("custom:x", background=True)
    async def endless(signal: EventCreated) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cut.append(True)

    with anyio.fail_after(30):
        async with kit.lifespan():
            room = await kit.conversations.create()
            await kit.events.create(room.id, "custom:x")
            await kit.events.create(room.id, "custom:x")
    assert cut == [True, True]
    assert "cuts 2 background calls" in caplog.text
    assert "endless" in caplog.text


async def test_errors_and_time_limits_in_the_background_are_logged_and_hurt_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        done = anyio.Event()

        @world.kit.on("text", background=True)
        async def raises(signal: EventCreated) -> None:
            raise SystemExit(1)

        @world.kit.on("text", background=True, timeout=0.05)
        async def hangs(signal: EventCreated) -> None:
            await anyio.sleep_forever()

        @world.kit.on("text", background=True)
        async def works(signal: EventCreated) -> None:
            done.set()

        with anyio.fail_after(30):
            await world.say()
            await done.wait()
            await until_background_is_done(world.kit)
    assert "raises" in caplog.text
    assert "hangs" in caplog.text
    assert "ran longer than 0.05 s" in caplog.text


async def test_so_many_run_at_once_and_so_many_may_wait(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(background, "AT_ONCE", 3)
    monkeypatch.setattr(background, "MOST", 8)
    async with open_world() as world:
        release = anyio.Event()
        running: list[int] = [0]
        most: list[int] = [0]
        done: list[int | None] = []

        @world.kit.on("custom:x", background=True)
        async def wait(signal: EventCreated) -> None:
            running[0] += 1
            most[0] = max(most[0], running[0])
            await release.wait()
            running[0] -= 1
            done.append(signal.event.id)

        for _ in range(20):
            await world.kit.events.create(world.conversation, "custom:x")
        release.set()
        await until_background_is_done(world.kit)
        assert len(done) == 8
        assert most == [3]
        assert caplog.text.count("are not made until some are done") == 1
        await world.kit.events.create(world.conversation, "custom:x")
        await until_background_is_done(world.kit)
        assert len(done) == 9


async def test_a_bot_in_the_background_that_answers_itself_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.on("text", background=True)
        async def echo(signal: EventCreated) -> None:
            await world.kit.events.create(world.conversation, "text", signal.event.body)

        await world.say()
        await until_background_is_done(world.kit)
        assert (await world.types()).count("text") == MAX_DEPTH + 1
    assert "deep" in caplog.text


REQUEST: ContextVar[str] = ContextVar("REQUEST")


async def test_a_receiver_in_the_background_has_the_context_of_its_request() -> None:
    async with open_world() as world:
        seen: list[str] = []

        @world.kit.on("custom:x", background=True)
        async def note(signal: EventCreated) -> None:
            seen.append(REQUEST.get())

        for name in ("one", "two"):
            REQUEST.set(name)
            await world.kit.events.create(world.conversation, "custom:x")
        await until_background_is_done(world.kit)
    assert sorted(seen) == ["one", "two"]


def test_an_event_loop_that_ends_too_early_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    kit = make_kit()

    @kit.on("custom:x", background=True)
    async def endless(signal: EventCreated) -> None:
        await anyio.sleep_forever()

    async def script() -> None:
        room = await kit.conversations.create()
        await kit.events.create(room.id, "custom:x")
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR, "conversation_kit"):
        asyncio.run(script())
        for thread in threading.enumerate():
            if thread.name == "conversation-kit background":
                thread.join(30)
    assert "await kit.close() first" in caplog.text
