"""The host's functions call the kit, which calls them again: within the limits of the first call."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from conversation_kit import AccessRequest, Context, CreateEvent, EventCreated, HookFailed
from conversation_kit.hooks.bounds import MAX_CAUSED, MAX_DEPTH
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

FAR = 45.0
"""A limit that is no excuse for a test, which fails after 30 seconds."""


async def texts(world: World) -> int:
    return (await world.kit.conversations.get(world.conversation)).sequence_number


async def test_what_a_receiver_causes_has_no_more_time_than_is_left_to_it(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.on("text", timeout=0.2)
        async def outer(signal: EventCreated) -> None:
            await world.kit.events.create(world.conversation, "custom:x")
            await world.kit.events.create(world.conversation, "custom:y")

        @world.kit.on("custom:*", timeout=FAR)
        async def inner(signal: EventCreated) -> None:
            await anyio.sleep_forever()

        with anyio.fail_after(30):
            while "custom:x" not in await world.types():  # which a busy machine may not reach within the limit
                await world.say()
        assert "custom:y" not in await world.types()
    assert "outer" in caplog.text
    assert "ran longer than 0.2 s" in caplog.text


async def test_a_receiver_that_keeps_calling_the_kit_is_cut_at_its_limit() -> None:
    async with open_world() as world:

        @world.kit.on("text", timeout=0.1)
        async def endless(signal: EventCreated) -> None:
            while True:
                await world.kit.events.create(world.conversation, "custom:x")

        with anyio.fail_after(30):
            await world.say()


async def test_a_receiver_that_is_cut_is_told_of_with_its_file_and_the_line_that_it_reached(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        release = anyio.Event()

        @world.kit.on("text", timeout=0.1)
        async def waits(signal: EventCreated) -> None:
            await release.wait()

        @world.kit.on("text", timeout=0.1)
        def blocks(signal: EventCreated) -> None:
            anyio.from_thread.run(release.wait)

        def told(receiver: Any) -> bool:
            line = receiver.__code__.co_firstlineno
            name = f"{receiver.__qualname__} ({__file__}:{line})"
            return f"{name} of EventCreated ran longer than 0.1 s: it was at line {line + 2}" in caplog.text

        with anyio.fail_after(30):
            # A thread that has not begun when its time is over has reached no line.
            while not (told(waits) and told(blocks)):
                await world.say()
                release.set()
                release = anyio.Event()


async def test_the_signals_of_one_request_are_bounded_in_number(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.on("text", timeout=FAR)
        async def twice(signal: EventCreated) -> None:
            for _ in range(2):
                await world.kit.events.create(world.conversation, "text", signal.event.body)

        before = await texts(world)
        await world.say()
        # Two for each text that was told of: the first one and the number that may be caused.
        assert MAX_CAUSED // 2 < await texts(world) - before <= 2 * (MAX_CAUSED + 1)
        assert caplog.text.count("is not told to hooks and receivers any more") == 1
        caplog.clear()
        await world.kit.events.create(world.conversation, "custom:another")
        assert caplog.text == ""


async def test_a_sync_bot_that_answers_itself_is_stopped() -> None:
    async with open_world() as world:

        @world.kit.on("text", timeout=FAR)
        def echo(signal: EventCreated) -> None:
            anyio.from_thread.run(world.kit.events.create, world.conversation, "text", signal.event.body)

        before = await texts(world)
        with anyio.fail_after(30):
            await world.say()
        assert await texts(world) - before == MAX_DEPTH + 1


async def test_a_task_that_a_receiver_starts_is_a_new_beginning(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world, anyio.create_task_group() as group:
        done = anyio.Event()

        async def answer(signal: EventCreated) -> None:
            await anyio.lowlevel.checkpoint()
            await world.kit.events.create(world.conversation, "text", signal.event.body)

        @world.kit.on("text")
        async def start(signal: EventCreated) -> None:
            if await texts(world) < MAX_DEPTH * 3:
                group.start_soon(answer, signal)
            else:
                done.set()

        await world.say()
        with anyio.fail_after(30):
            await done.wait()
    assert caplog.text == ""


async def test_a_hook_that_posts_is_stopped_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        async def audit(command: CreateEvent, context: Context) -> None:
            await world.kit.events.create(world.conversation, "custom:audit")

        before = await texts(world)
        with pytest.raises(HookFailed):
            await world.kit.events.create(world.conversation, "custom:x")
        assert await texts(world) == before
        body = {"type": "text", "body": {"text": "x"}}
        assert (await world.call("POST", f"{world.path}/events", "ana", json=body)).status_code == 503
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 2
    assert "audit" in told[0].getMessage()
    assert not any(record.exc_info for record in told)


async def test_a_hook_that_posts_and_may_fail_is_bounded_in_number_too(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent, timeout=FAR, on_failure="allow")
        async def audit(command: CreateEvent, context: Context) -> None:
            for _ in range(2):
                await world.kit.events.create(world.conversation, "custom:audit")

        before = await texts(world)
        await world.kit.events.create(world.conversation, "custom:x")
        assert await texts(world) - before <= 2 * (MAX_CAUSED + 1)
    assert len(caplog.text) < 5_000


async def test_an_authorize_that_acts_as_a_user_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    worlds: list[World] = []

    async def authorize(request: AccessRequest) -> None:
        await worlds[0].kit.as_user("ana").conversations.get(worlds[0].conversation)

    async with open_world(populate=False, authorize=authorize) as world:
        await world.kit.users.create("ana")
        world.conversation = (await world.kit.conversations.create()).id
        await world.kit.members.join(world.conversation, user_name="ana")
        worlds.append(world)
        with pytest.raises(HookFailed):
            await world.kit.as_user("ana").conversations.get(world.conversation)
    assert len(caplog.text) < 5_000


async def test_the_limit_of_a_hook_holds_when_what_it_calls_waits_for_receivers(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent, timeout=0.2)
        async def slow(command: CreateEvent, context: Context) -> None:
            if command.type == "text":
                await world.kit.events.create(world.conversation, "custom:x")
                await anyio.lowlevel.checkpoint()

        @world.kit.on("custom:x", timeout=FAR)
        async def hangs(signal: EventCreated) -> None:
            await anyio.sleep_forever()

        with anyio.fail_after(30), pytest.raises(HookFailed, match="took too long"):
            await world.kit.events.create(world.conversation, "text", {"text": "x"})


async def test_a_hook_whose_own_call_timed_out_is_not_said_to_have_run_too_long(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        async def asks(command: CreateEvent, context: Context) -> None:
            raise TimeoutError("the spam filter does not answer")

        with pytest.raises(HookFailed, match="raised"):
            await world.kit.events.create(world.conversation, "custom:x")
    assert "ran longer" not in caplog.text
    assert "the spam filter does not answer" in caplog.text
