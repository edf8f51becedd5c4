"""Everything that the docstrings of ``ports.Broker`` and ``ports.Connected`` promise, as tests."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from conversation_kit.brokers.messages import MAX_TEXT, write
from conversation_kit.brokers.threaded import ThreadedBroker
from conversation_kit.ports import Broker, BrokerMessage, Connected, EphemeralEvent, LogAdvanced

T = TypeVar("T")
SETTLE_SECONDS = 0.2


class Process:
    """Connection of one process to a broker: it listens, and keeps the last thing that it heard of each conversation."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.last: dict[tuple[str, str], int] = {}
        self.ephemeral_events: list[EphemeralEvent] = []

    async def run(self) -> None:
        """Listen as the kit does."""
        while True:
            await self.broker.listen(self._hear)

    def tell(self, last_id: int, conversation_id: str = "CON-1") -> None:
        """Tell of a commit."""
        self.broker.tell([LogAdvanced("app", conversation_id, last_id)])

    def has(self, last_id: int, conversation_id: str = "CON-1") -> bool:
        """Tell whether this was heard last."""
        return self.last.get(("app", conversation_id)) == last_id

    async def hear(self, last_id: int, conversation_id: str = "CON-1") -> None:
        """Wait until this was heard last."""
        await until(lambda: self.has(last_id, conversation_id))

    def _hear(self, one: BrokerMessage) -> None:
        if isinstance(one, EphemeralEvent):
            self.ephemeral_events.append(one)
        else:
            self.last[one.application_id, one.conversation_id] = one.last_id


class BrokerContract:
    """Inherit, override ``make_broker``, and pytest runs the suite on your broker; override ``outage`` too, if your server can be away."""

    pytestmark = pytest.mark.anyio

    time_limit = 60.0
    """Seconds that one test may take, so that a deadlock is a failure."""

    def make_broker(self) -> Broker:
        """Make one more broker, as another process would, on the same channel as all others of this test and no other test's."""
        raise NotImplementedError("override make_broker")

    def outage(self) -> AbstractContextManager[None]:
        """Cut all connections, and refuse new ones until the end of the block."""
        pytest.skip("this broker has no server to cut off: override outage() if yours has one")

    def make_threaded(self) -> ThreadedBroker:
        """Make one more broker, and skip the test if it is no ``ThreadedBroker``."""
        broker = self.make_broker()
        if not isinstance(broker, ThreadedBroker):
            pytest.skip("it is no ThreadedBroker, and only those merge messages and connect again")
        return broker

    @asynccontextmanager
    async def processes(self, count: int) -> AsyncIterator[Sequence[Process]]:
        """Run so many processes, each of which hears everything that any of them tells."""
        made = [Process(self.make_broker()) for _ in range(count)]
        with anyio.fail_after(self.time_limit):
            try:
                async with anyio.create_task_group() as group:
                    for process in made:
                        group.start_soon(process.run)
                    await settle(made)
                    yield made
                    group.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    for process in made:
                        if isinstance(process.broker, Connected):
                            await process.broker.close()

    async def test_what_one_process_tells_is_heard_in_all(self) -> None:
        async with self.processes(3) as processes:
            for last_id, teller in enumerate(processes, 1):
                teller.tell(last_id)
                for process in processes:
                    await process.hear(last_id)

    async def test_ids_of_any_kind_arrive(self) -> None:
        async with self.processes(2) as (here, there):
            wakes = [LogAdvanced("ü" * 200, f"CON-\"'\\☎ {number}", 2**53 - number) for number in range(100)]
            here.broker.tell(wakes)
            for wake in wakes:
                await until(lambda wake=wake: there.last.get((wake.application_id, wake.conversation_id)) == wake.last_id)  # type: ignore[misc]

    async def test_ephemeral_events_arrive_as_they_are(self) -> None:
        async with self.processes(2) as (here, there):
            ephemeral_events = [
                EphemeralEvent("app", "CON-1", f"w{number}", f'{{"type":"text:typing:on","body":{{"☎":{number}}}}}') for number in range(20)
            ]
            here.broker.tell(ephemeral_events)
            here.tell(1)
            await there.hear(1)
            await until(lambda: len(there.ephemeral_events) >= len(ephemeral_events))
            assert set(there.ephemeral_events) == set(ephemeral_events)

    async def test_ephemeral_events_of_any_length_arrive(self) -> None:
        async with self.processes(2) as (here, there):
            ephemeral_events = [
                EphemeralEvent("app", "CON-1", f"w{length}", f'{{"text":"{"☎" * length}"}}') for length in (1, 1_000, 5_000, 20_000)
            ]
            here.broker.tell(ephemeral_events)
            here.tell(1)
            await there.hear(1)
            await until(lambda: len(there.ephemeral_events) >= len(ephemeral_events))
            assert set(there.ephemeral_events) == set(ephemeral_events)

    async def test_of_what_comes_fast_the_last_of_each_conversation_is_heard(self) -> None:
        async with self.processes(2) as (here, there):

            async def tell(part: int) -> None:
                for last_id in range(1, 1001):
                    here.tell(last_id, f"CON-{part}-{last_id % 10}")
                    if last_id % 50 == 0:
                        await checkpoint()

            async with anyio.create_task_group() as group:
                for part in range(4):
                    group.start_soon(tell, part)
            for part in range(4):
                for rest in range(10):
                    await there.hear(990 + rest if rest else 1000, f"CON-{part}-{rest}")

    async def test_who_does_not_listen_any_more_hears_nothing(self) -> None:
        async with self.processes(2) as (here, there):
            quiet = Process(there.broker)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(quiet.run)
                    await anyio.wait_all_tasks_blocked()
                    here.tell(1)
                    await quiet.hear(1)
                    scope.cancel()
            here.tell(2)
            await there.hear(2)
            await anyio.wait_all_tasks_blocked()
            assert quiet.has(1)

    async def test_without_the_server_telling_takes_no_time_and_raises_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async with self.processes(2) as (here, there):
            with self.outage():
                for last_id in range(1, 101):
                    here.tell(last_id)
                await until(lambda: len(warnings(caplog)) > 0)
            await settle((here, there))
            there.tell(7, "CON-2")
            await here.hear(7, "CON-2")
            here.tell(101)
            await there.hear(101)
        assert len(warnings(caplog)) <= 8, "what is wrong is told, but not again and again"

    async def test_a_cut_connection_is_made_again(self) -> None:
        async with self.processes(2) as (here, there):
            for last_id in range(1, 4):
                with self.outage():
                    pass
                await settle((here, there))
                here.tell(last_id)
                await there.hear(last_id)

    async def test_without_the_server_it_can_be_opened_and_closed(self, caplog: pytest.LogCaptureFixture) -> None:
        broker = self.make_broker()
        if not isinstance(broker, Connected):
            pytest.skip("it has no connections")
        with anyio.fail_after(self.time_limit), self.outage():
            await broker.open()
            await until(lambda: len(warnings(caplog)) > 0)
            broker.tell([LogAdvanced("app", "CON-1", 1)])
            await broker.close()
            assert not threads()

    async def test_closing_leaves_no_thread_and_no_connection(self) -> None:
        async with self.processes(2):
            pass  # what clients keep for good is there now
        before = descriptors()
        async with self.processes(2) as (here, there):
            here.tell(1)
            await there.hear(1)
        assert not threads()
        with anyio.fail_after(self.time_limit):
            await until(lambda: descriptors() <= before)

    async def test_after_closing_it_can_be_used_again(self) -> None:
        async with self.processes(2) as (here, there):
            for process in (here, there):
                if isinstance(process.broker, Connected):
                    await process.broker.close()
            await settle((here, there))
            here.tell(2)
            await there.hear(2)

    async def test_a_relay_receives_from_the_moment_that_it_has_connected(self) -> None:
        here, there = self.make_threaded(), self.make_threaded()
        sent = [f'[["app","CON-\\u00fc \'{number}",1]]'.ljust(MAX_TEXT if number == 7 else 0) for number in range(20)]

        async def exchange() -> list[str]:
            async with here.receiver() as own, there.receiver() as others, here.sender() as send:
                for text in sent:
                    await send(text)
                return [await anext(texts) for texts in (own, others) for _ in sent]

        with anyio.fail_after(self.time_limit):
            assert await in_own_loop(exchange) == sent * 2

    async def test_a_relay_ignores_texts_that_the_kit_did_not_write(self, caplog: pytest.LogCaptureFixture) -> None:
        broker = self.make_threaded()
        garbage = ["?", "{}", "[7]", '[["app","CON-1"]]', '[["app","CON-1","7"]]', '[["app","CON-1",-7]]', "[" * MAX_TEXT]

        async def send_garbage() -> None:
            async with broker.sender() as send:
                for text in [*garbage, *write([LogAdvanced("app", "CON-1", 8)])]:
                    await send(text)

        async with self.processes(1) as (process,):
            await in_own_loop(send_garbage)
            await process.hear(8)
            assert set(process.last) == {("app", "CON-1"), ("app", "CON-settle")}
        assert [warning for warning in warnings(caplog) if "did not write" in warning] == warnings(caplog)[:1]


async def settle(processes: Sequence[Process]) -> None:
    """Tell until all hear what any tells, for nobody can know when a broker has begun to listen."""
    for teller in processes:
        last_id = 0
        while not all(process.has(last_id, "CON-settle") for process in processes):
            last_id = max(process.last.get(("app", "CON-settle"), 0) for process in processes) + 1
            teller.tell(last_id, "CON-settle")
            with anyio.move_on_after(SETTLE_SECONDS):
                await until(lambda last_id=last_id: all(process.has(last_id, "CON-settle") for process in processes))  # type: ignore[misc]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of the kit and its adapters."""
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [record.getMessage() for record in records if record.name.startswith("conversation_kit")]


def threads() -> list[threading.Thread]:
    """Return the threads of relays."""
    return [thread for thread in threading.enumerate() if thread.name == "conversation-kit-broker"]


def descriptors() -> int:
    """Return how many files and sockets this process has open; 0 where the system does not tell."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the time limit is the caller's."""
    while not condition():  # noqa: ASYNC110  (what it waits for happens in other threads)
        await anyio.sleep(0.005)


async def in_own_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Run it where relays do: in a thread, on asyncio."""
    return await anyio.to_thread.run_sync(anyio.run, work)
