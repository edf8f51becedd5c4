"""Transactions in worker threads: reads beside each other, writes in groups.

Whoever comes first commits everything that queued up meanwhile in one transaction and one thread hop, and hands over to the first of
those who came later. There is no timer and no background task: a single write commits at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit_sql.engines import READERS, WRITES, is_shared_memory

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
        self.limiter = anyio.CapacityLimiter(1)


class Runner(Generic[U]):
    """Runs transactions on an engine. ``commit`` carries out a batch of units, in the transactions it chooses, and settles every ticket."""

    def __init__(self, engine: Engine, commit: Callable[[Sequence[Ticket[U]]], None]) -> None:
        self._engine = engine
        self._commit = commit
        self._writing = threading.Lock()
        self._reading = self._writing if is_shared_memory(engine) else None
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
        if self._reading is not None:
            with self._reading:
                return self._read_now(work)
        return self._read_now(work)

    def _read_now(self, work: Callable[[Connection], T]) -> T:
        with unavailable(), self._engine.connect() as connection, connection.begin():
            return work(connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction; commits at the end of the block."""
        with self._engine.connect() as plain:
            connection = plain.execution_options(**{WRITES: True})
            with connection.begin():
                yield connection

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
        batch, queue.waiting = queue.waiting[:MAX_BATCH], queue.waiting[MAX_BATCH:]
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._run, batch, limiter=queue.limiter)
        finally:
            for other in batch:
                other.turn.set()
            self._hand_over(queue)
        return ticket.outcome()

    def _withdraw(self, queue: _Queue[U], ticket: Ticket[U]) -> None:
        """Take back a write that nobody has begun; one that was called to lead passes that on."""
        if ticket in queue.waiting:
            queue.waiting.remove(ticket)
            if ticket.turn.is_set():
                self._hand_over(queue)

    def _hand_over(self, queue: _Queue[U]) -> None:
        if queue.waiting:
            queue.waiting[0].turn.set()
        else:
            queue.has_leader = False

    def _run(self, batch: Sequence[Ticket[U]]) -> None:
        """Carry out a batch in this worker thread. One writer at a time in a process: SQLite's checkpoints must not overlap."""
        with self._writing:
            try:
                with unavailable():
                    self._commit(batch)
            except Exception as error:
                for ticket in batch:
                    if not ticket.finished:
                        ticket.fail(error)


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
            raise StorageUnavailable(f"The connection to the database broke ({_cause(error)}).") from error
        raise


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
