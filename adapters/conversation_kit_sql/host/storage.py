"""JoinedStorage: the ``Storage`` port inside a transaction of the host's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import anyio
from sqlalchemy import Connection

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.domain.signals import Signal
from conversation_kit.domain.values.answers import Answer
from conversation_kit.ports import Capabilities, Reading, Taking, Within
from conversation_kit_sql.base import SQLMethods
from conversation_kit_sql.changes import single_writes
from conversation_kit_sql.changes.apply import ChangeUnit
from conversation_kit_sql.changes.indirect import resolved
from conversation_kit_sql.changes.metering import MeterUnit
from conversation_kit_sql.changes.within import accompany
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.database.errors import unavailable
from conversation_kit_sql.host.after_commit import AfterCommitQueue, SignalSender, make_queue, queue_of
from conversation_kit_sql.host.sessions import Run
from conversation_kit_sql.queries import reads
from conversation_kit_sql.queries.statements import Statements

T = TypeVar("T")
P = ParamSpec("P")


class HostTransactionStorage(SQLMethods):
    """Storage in the transaction that ``session`` is in, or begins with it; each write is in a savepoint of its own.

    So a write that is refused, by a rule or by the database, leaves the host's transaction as it was. Ending that
    transaction is left to the host. Calls that come side by side wait for each other, because a session is for one at a time.
    """

    capabilities = Capabilities(transactions=True)

    def __init__(
        self,
        run: Run,
        admit: Callable[[Connection], None],
        statements: Statements,
        sender: SignalSender,
        take: Callable[[Sequence[Taking]], Awaitable[Sequence[Reading]]],
    ) -> None:
        self._take = take
        self._run = run
        self._admit = admit
        self._statements = statements
        self._sender = sender
        self._lock = anyio.Lock()
        self._connection: Connection | None = None
        self._has_ended = False

    async def open(self) -> None:
        """Do nothing: opening is the host's business."""

    async def close(self) -> None:
        """Do nothing: closing is the host's business."""

    async def _read(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_connection(lambda connection: query(connection, self._statements, *args, **kwargs))

    async def _write(self, write: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def work(connection: Connection) -> T:
            dialect_of(connection).become_writer(connection, self._statements.tables.conversation)
            with connection.begin_nested():
                return write(connection, self._statements, *args, **kwargs)

        return await self._on_connection(work)

    async def change(
        self,
        application_id: str,
        conversation_id: str | None,
        needs: Needs,
        decide: Decide[T],
        *,
        within: Within | None = None,
    ) -> Changes[T]:
        """See ``Storage.change``. The conversation stays locked until the host's transaction ends."""
        change = partial(self._change, application_id, within)
        return await resolved(self._glance, change, application_id, conversation_id, needs, decide)

    async def _change(
        self, application_id: str, within: Within | None, conversation_id: str | None, needs: Needs, decide: Decide[T]
    ) -> Changes[T]:
        unit = ChangeUnit(application_id, conversation_id, needs, decide)

        def write(connection: Connection, statements: Statements) -> Changes[T]:
            changes: Changes[T] = single_writes.change(connection, statements, unit)
            accompany(connection, within, changes)
            return changes

        return await self._write(write)

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """See ``Meter.take``.

        In a transaction of the kit's own where rows can be locked, so that nobody waits for the host; what the host undoes was used all the
        same. Else in the host's, since nobody else can write.
        """
        if await self._on_connection(lambda connection: dialect_of(connection).locks_rows):
            return await self._take(takings)
        return await self._write(single_writes.take, MeterUnit(takings))

    async def _on_connection(self, work: Callable[[Connection], T]) -> T:
        if self._has_ended:
            raise ConfigurationError("The block of kit.using has ended: what it gave is good inside of it only.")

        def on_connection(connection: Connection) -> T:
            with unavailable():
                if queue_of(connection) is None:
                    self._admit(connection)
                    make_queue(connection)
                self._connection = connection
                return work(connection)

        async with self._lock:
            return await self._run(on_connection)

    async def get_answer(self, application_id: str, mark: str, now: datetime) -> Answer | None:
        """See ``Storage.get_answer``. It is read by who is about to write, and in SQLite only a transaction that has not read yet can."""
        return await self._write(reads.get_answer, application_id, mark, now)

    async def announce(self, signals: Sequence[Signal]) -> None:
        """Keep the signals of the last write until the host has committed."""
        connection = self._connection
        queue: AfterCommitQueue | None = queue_of(connection) if connection is not None else None
        assert connection is not None
        assert queue is not None
        queue.add(connection, self._sender, signals)

    def leave(self) -> None:
        """Note that the block ends: if the host has committed, that is known now."""
        self._has_ended = True
        queue = queue_of(self._connection) if self._connection is not None else None
        if queue is not None:
            queue.settle()
