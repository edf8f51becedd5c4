"""Transactions in worker threads: reads beside each other, writes in groups.

Whoever comes first commits everything that queued up meanwhile in one transaction and one thread hop, and hands over to the first of
those who came later. There is no timer and no background task: a single write commits at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import RunVar
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit_sql.engines import READERS, Database

T = TypeVar("T")
U = TypeVar("U")
MAX_BATCH = 512
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)


class Ticket(Generic[U]):
    """One write that waits for its commit."""

    __slots__ = ("error", "finished", "result", "turn", "unit")

    def __init__(self, unit: U) -> None:
        self.unit = unit
        self.turn = anyio.Event()
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None

    def succeed(self, result: Any) -> None:
        """The write is committed."""
        self.result, self.error, self.finished = result, None, True

    def fail(self, error: BaseException) -> None:
        """The write did not happen."""
        self.error, self.finished = error, True

    def outcome(self) -> Any:
        """What came of it."""
        if self.error is not None:
            raise self.error
        return self.result


class _Queue(Generic[U]):
    """The writes of one event loop."""

    __slots__ = ("has_leader", "limiter", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Ticket[U]] = []
        self.has_leader = False
        self.limiter = anyio.CapacityLimiter(2)  # one that works, and one whose leader went away


class _Batch(Generic[U]):
    """Writes that are carried out together.

    A leader that asyncio itself cancels, against any shield, leaves while the thread still works; then the thread has to release
    those who wait. The lock decides which of the two it is.
    """

    __slots__ = ("_left", "_lock", "_started", "tickets")

    def __init__(self, tickets: Sequence[Ticket[U]]) -> None:
        self.tickets = tickets
        self._lock = threading.Lock()
        self._left = False
        self._started = False

    def start(self) -> bool:
        """Called by the thread; whether there is still somebody to work for."""
        with self._lock:
            self._started = True
            return not self._left

    def finish(self) -> bool:
        """Called by the thread when all is settled; whether it has to release those who wait."""
        with self._lock:
            self._started = False
            return self._left

    def leave(self) -> bool:
        """Called by the leader; whether it has to release those who wait."""
        with self._lock:
            self._left = True
            return not self._started


class Runner(Generic[U]):
    """Runs transactions on a database. ``commit`` carries out a batch, in the transactions it chooses, and settles every ticket."""

    def __init__(self, database: Database, commit: Callable[[Sequence[Ticket[U]]], None]) -> None:
        self._database = database
        self._commit = commit
        self._queue: RunVar[_Queue[U]] = RunVar("conversation_kit_sql_queue")
        self._readers: RunVar[anyio.CapacityLimiter] = RunVar("conversation_kit_sql_readers")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction of its own and return what it returns. Raises ``StorageUnavailable``."""
        limiter = self._readers.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(READERS)
            self._readers.set(limiter)
        return await anyio.to_thread.run_sync(self._read, work, limiter=limiter)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with unavailable(), self._database.reading() as connection:
            return work(connection)

    async def write(self, unit: U) -> Any:
        """Have ``unit`` committed, together with whatever waits, and return its result or raise its error."""
        queue = self._queue.get(None)
        if queue is None:
            queue = _Queue()
            self._queue.set(queue)
        ticket = Ticket(unit)
        queue.waiting.append(ticket)
        if queue.has_leader:
            try:
                await ticket.turn.wait()
            except anyio.get_cancelled_exc_class():
                self._withdraw(queue, ticket)
                raise
            if ticket.finished:
                return ticket.outcome()
        queue.has_leader = True
        batch = _Batch(queue.waiting[:MAX_BATCH])
        del queue.waiting[:MAX_BATCH]
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._run, queue, batch, limiter=queue.limiter)
        finally:
            if batch.leave():
                self._release(queue, [other for other in batch.tickets if other is not ticket])
        return ticket.outcome()

    def _withdraw(self, queue: _Queue[U], ticket: Ticket[U]) -> None:
        """Take back a write that nobody has begun; one that was called to lead passes that on."""
        if ticket in queue.waiting:
            queue.waiting.remove(ticket)
            if ticket.turn.is_set():
                self._hand_over(queue)

    def _release(self, queue: _Queue[U], tickets: Sequence[Ticket[U]]) -> None:
        """Wake those whose writes are settled. What was never begun waits on, first in the queue."""
        queue.waiting[:0] = [ticket for ticket in tickets if not ticket.finished]
        for ticket in tickets:
            if ticket.finished:
                ticket.turn.set()
        self._hand_over(queue)

    def _hand_over(self, queue: _Queue[U]) -> None:
        if queue.waiting:
            queue.waiting[0].turn.set()
        else:
            queue.has_leader = False

    def _run(self, queue: _Queue[U], batch: _Batch[U]) -> None:
        """Carry out a batch in this worker thread."""
        if not batch.start():
            return
        try:
            with self._database.writer, unavailable():
                self._commit(batch.tickets)
                self._database.wrote(len(batch.tickets))
        except Exception as error:
            for ticket in batch.tickets:
                if not ticket.finished:
                    ticket.fail(error)
        finally:
            if batch.finish():
                with suppress(RuntimeError):  # the event loop has ended, and with it all who waited
                    anyio.from_thread.run_sync(self._release, queue, batch.tickets)


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn what a database says when it cannot answer now into ``StorageUnavailable``."""
    try:
        yield
    except UNAVAILABLE as error:
        raise StorageUnavailable(
            f"The database cannot answer now ({_cause(error)}): see whether it runs, is locked, or is full."
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageUnavailable(f"The connection to the database broke ({_cause(error)}): see whether it runs.") from error
        raise


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
