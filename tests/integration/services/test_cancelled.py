"""Callers in process whose time is up: what has begun is carried out with its receivers, and they learn of it as far as they can."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from conversation_kit import EventCreated
from tests.support.sql_probes import commits_that_wait, sql_storage_of
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
storages = pytest.mark.parametrize("storage", ["memory://", "sqlite://"])


def slow_receiver(world: World) -> tuple[anyio.Event, list[EventCreated]]:
    """One that begins and takes its time; what it has seen to the end."""
    begun, done = anyio.Event(), []

    @world.kit.on("custom:x")
    async def receive(signal: EventCreated) -> None:
        begun.set()
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        done.append(signal)

    return begun, done


@storages
async def test_a_scope_that_is_cancelled_during_the_receivers_gives_the_event_first(storage: str) -> None:
    async with open_world(storage=storage) as world, anyio.create_task_group() as group:
        begun, done = slow_receiver(world)
        with anyio.CancelScope() as scope:

            async def cancel() -> None:
                await begun.wait()
                scope.cancel()

            group.start_soon(cancel)
            event = await world.kit.events.create(world.conversation, "custom:x")
            assert [signal.event for signal in done] == [event]
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught


@on_asyncio
@storages
async def test_a_task_that_asyncio_cancels_during_the_receivers_stops_none_of_them(storage: str, anyio_backend: str) -> None:
    async with open_world(storage=storage) as world:
        begun, done = slow_receiver(world)
        task = asyncio.ensure_future(world.kit.events.create(world.conversation, "custom:x"))
        await begun.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError) as told:
            await task
        assert len(done) == 1
        assert "carried out" in told.value.__notes__[0]
        assert (await world.types())[-1] == "custom:x"


@on_asyncio
async def test_wait_for_stores_all_and_runs_the_receivers_or_does_neither(tmp_path: Path, anyio_backend: str) -> None:
    """Whenever the time is up, also while a worker thread writes."""
    async with open_world(storage=f"sqlite:///{tmp_path}/chat.db") as world:
        _, done = slow_receiver(world)
        timed_out = 0
        for turn in range(60):
            try:
                await asyncio.wait_for(world.kit.events.create(world.conversation, "custom:x"), turn * 0.0002)
            except TimeoutError:
                timed_out += 1
        assert timed_out
        stored = [event.id for event in await world.kit.events.list(world.conversation) if event.type == "custom:x"]
        assert [signal.event.id for signal in done] == stored


async def test_a_scope_that_runs_out_while_a_thread_writes_gives_what_was_written(tmp_path: Path) -> None:
    async with open_world(storage=f"sqlite:///{tmp_path}/chat.db") as world:
        begun, go = commits_that_wait(sql_storage_of(world.kit))
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:

                async def cancel() -> None:
                    await anyio.to_thread.run_sync(begun.wait, 30)
                    scope.cancel()
                    go.set()

                group.start_soon(cancel)
                event = await world.kit.events.create(world.conversation, "custom:x")
                await anyio.lowlevel.checkpoint()
            assert scope.cancelled_caught
        assert (await world.kit.events.list(world.conversation))[-1] == event
