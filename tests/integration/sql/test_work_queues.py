"""Lanes: work of an event loop that one thread carries out in groups."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from conversation_kit import ConversationKit, HostAuthenticator
from conversation_kit_sql.workers import work_queue
from conversation_kit_sql.workers.work_queue import Job, WorkQueue

pytestmark = pytest.mark.anyio


class Desk:
    """Work that waits until it is let go, and remembers what it got together and in which thread."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.batches: list[list[int]] = []
        self.threads: list[threading.Thread] = []

    def work(self, jobs: Sequence[Job[int]]) -> None:
        self.batches.append([job.unit for job in jobs])
        self.threads.append(threading.current_thread())
        self.begun.set()
        assert self.go_on.wait(30)
        for job in jobs:
            if job.unit < 0:
                job.fail(ValueError(job.unit))
            else:
                job.succeed(10 * job.unit)


async def is_so(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 (threads do not tell when they end)
            await anyio.sleep(0.001)


async def begun(desk: Desk) -> None:
    with anyio.fail_after(30):
        await anyio.to_thread.run_sync(desk.begun.wait)


async def test_what_comes_while_the_thread_works_goes_together_and_no_more_than_so_many() -> None:
    desk = Desk()
    queue = WorkQueue(desk.work, 3)
    answers: dict[int, int] = {}

    async def ask(unit: int) -> None:
        answers[unit] = await queue.join(unit)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, 1)
        await begun(desk)
        for unit in range(2, 7):
            group.start_soon(ask, unit)
        await is_so(lambda: queue.load() == 6)
        desk.go_on.set()
    assert answers == {unit: 10 * unit for unit in range(1, 7)}
    assert [len(batch) for batch in desk.batches] == [1, 3, 2]
    assert len(set(desk.threads)) == 1
    assert queue.load() == 0
    queue.stop()


async def test_what_comes_after_several_gathers_and_what_comes_alone_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("conversation_kit_sql.workers.work_queue.time.sleep", rests.append)
    desk = Desk()
    queue = WorkQueue(desk.work, 3, gather_seconds=0.0001)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.join, 1)
        await begun(desk)
        for unit in (2, 3):
            group.start_soon(queue.join, unit)
        await is_so(lambda: queue.load() == 3)
        desk.go_on.set()
    assert rests == []
    for unit in (4, 5, 6):
        await queue.join(unit)
    assert rests == [0.0001]
    assert [len(batch) for batch in desk.batches] == [1, 2, 1, 1, 1]
    queue.stop()


async def test_the_error_of_one_is_nobody_elses() -> None:
    desk = Desk()
    desk.go_on.set()
    queue = WorkQueue(desk.work, 3)
    with pytest.raises(ValueError, match="-1"):
        await queue.join(-1)
    assert await queue.join(1) == 10
    queue.stop()


async def test_work_that_raises_fails_all_that_it_has_not_settled_and_the_thread_goes_on() -> None:
    def work(jobs: Sequence[Job[int]]) -> None:
        if jobs[0].unit:
            raise LookupError("broken")
        jobs[0].succeed("well")

    queue = WorkQueue(work, 3)
    with pytest.raises(LookupError, match="broken"):
        await queue.join(1)
    assert await queue.join(0) == "well"
    queue.stop()


async def test_a_caller_that_is_cancelled_takes_back_what_has_not_begun() -> None:
    desk = Desk()
    queue = WorkQueue(desk.work, 3)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.join, 1)
        await begun(desk)
        async with anyio.create_task_group() as hasty:
            hasty.start_soon(queue.join, 2)
            await is_so(lambda: queue.load() == 2)
            hasty.cancel_scope.cancel()
        group.start_soon(queue.join, 3)
        await is_so(lambda: queue.load() == 3)
        desk.go_on.set()
    assert desk.batches == [[1], [3]]
    queue.stop()


async def test_a_caller_that_is_cancelled_leaves_nothing_behind_that_goes_on_without_it() -> None:
    desk = Desk()
    queue = WorkQueue(desk.work, 3)
    left = False

    async def leave() -> None:
        nonlocal left
        try:
            await queue.join(1)
        finally:
            left = True

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await begun(desk)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            assert not left
            desk.go_on.set()
    assert left
    assert queue.load() == 0
    queue.stop()


async def test_a_thread_without_work_ends_and_the_next_work_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "IDLE_SECONDS", 0.01)
    desk = Desk()
    desk.go_on.set()
    queue = WorkQueue(desk.work, 3)
    assert await queue.join(1) == 10
    await is_so(lambda: not desk.threads[0].is_alive())
    assert await queue.join(2) == 20
    assert desk.threads[1] is not desk.threads[0]


async def test_a_thread_that_is_told_to_stop_carries_out_what_waits_first() -> None:
    desk = Desk()
    queue = WorkQueue(desk.work, 2)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.join, 1)
        await begun(desk)
        for unit in (2, 3, 4):
            group.start_soon(queue.join, unit)
        await is_so(lambda: queue.load() == 4)
        queue.stop()
        desk.go_on.set()
    assert sorted(unit for batch in desk.batches for unit in batch) == [1, 2, 3, 4]
    await is_so(lambda: not desk.threads[0].is_alive())
    assert await queue.join(5) == 50
    queue.stop()


def test_an_event_loop_that_ends_while_the_thread_works_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "IDLE_SECONDS", 0.01)
    desk = Desk()

    async def leave_early() -> None:
        caller = asyncio.ensure_future(WorkQueue(desk.work, 3).join(1))
        await begun(desk)
        for _ in range(2):  # asyncio's second cancellation gets through any shield
            caller.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(leave_early())
    desk.go_on.set()
    desk.threads[0].join(30)
    assert not desk.threads[0].is_alive()


async def test_threads_that_end_and_work_that_comes_never_miss_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "IDLE_SECONDS", 0.0005)
    desk = Desk()
    desk.go_on.set()
    queue = WorkQueue(desk.work, 3)
    with anyio.fail_after(120):
        for unit in range(300):
            assert await queue.join(unit) == 10 * unit
            if unit % 3:
                await anyio.sleep(0.0005)
    assert desk.batches == [[unit] for unit in range(300)]


def test_a_storage_is_gone_with_the_event_loop_that_it_was_used_in(tmp_path: Path, anyio_backend_name: str) -> None:
    async def use() -> weakref.ref[Any]:
        kit = ConversationKit(storage=f"sqlite:///{tmp_path}/chat.db", auth=HostAuthenticator(lambda scope: None))
        async with kit.lifespan():
            room = await kit.conversations.create()
            await kit.events.create(room.id, "text", {"text": "hello"})
            assert await kit.events.list(room.id)
        return weakref.ref(kit.storage)

    storages = [anyio.run(use, backend=anyio_backend_name) for _ in range(3)]
    deadline = time.monotonic() + 30
    while any(storage() is not None for storage in storages) and time.monotonic() < deadline:
        time.sleep(0.01)  # threads that were told to end have the storage until they have ended
        gc.collect()
    assert [storage() for storage in storages] == [None] * 3
