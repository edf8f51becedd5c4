"""JoinedStorage: the ``Storage`` port inside a transaction of the host's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import anyio
from sqlalchemy import Connection

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.domain.signals import Signal
from conversation_kit.ports import Capabilities, Within
from conversation_kit_sql import writes
from conversation_kit_sql.failures import unavailable
from conversation_kit_sql.guests import begin_to_write
from conversation_kit_sql.methods import SQLMethods
from conversation_kit_sql.outbox import Courier, Outbox, make_outbox, outbox_of
from conversation_kit_sql.sessions import Run
from conversation_kit_sql.statements import Statements
from conversation_kit_sql.within import accompany

T = TypeVar("T")
P = ParamSpec("P")


class JoinedStorage(SQLMethods):
    """Does everything in the transaction that ``session`` is in, or begins with it; each write in a savepoint of its own.

    So a write that is refused, by a rule or by the database, leaves the host's transaction as it was. Ending that
    transaction is left to the host. Calls that come side by side wait for each other, because a session is for one at a time.
    """

    capabilities = Capabilities(transactions=True)

    def __init__(self, run: Run, admit: Callable[[Connection], None], statements: Statements, courier: Courier) -> None:
        self._run = run
        self._admit = admit
        self._statements = statements
        self._courier = courier
        self._turn = anyio.Lock()
        self._connection: Connection | None = None
        self._has_ended = False

    async def open(self) -> None:
        """The host has."""

    async def close(self) -> None:
        """The host will."""

    async def _read(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_connection(lambda connection: query(connection, self._statements, *args, **kwargs))

    async def _write(
        self, within: Within[T] | None, write: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def work(connection: Connection) -> T:
            begin_to_write(connection, self._statements.tables)
            with connection.begin_nested():
                result = write(connection, self._statements, *args, **kwargs)
                accompany(connection, within, result)
            return result

        return await self._on_connection(work)

    async def change(
        self,
        application_id: str,
        conversation_id: str | None,
        needs: Needs,
        decide: Decide[T],
        *,
        within: Within[Changes[T]] | None = None,
    ) -> Changes[T]:
        """See ``Storage.change``. The conversation stays locked until the host's transaction ends."""
        return await self._write(within, writes.change, application_id, conversation_id, needs, decide)

    async def _on_connection(self, work: Callable[[Connection], T]) -> T:
        if self._has_ended:
            raise ConfigurationError("The block of kit.using has ended: what it gave is good inside of it only.")

        def on_connection(connection: Connection) -> T:
            with unavailable():
                if outbox_of(connection) is None:
                    self._admit(connection)
                    make_outbox(connection)
                self._connection = connection
                return work(connection)

        async with self._turn:
            return await self._run(on_connection)

    async def announce(self, signals: Sequence[Signal]) -> None:
        """Keep the signals of the last write until the host has committed."""
        connection = self._connection
        outbox: Outbox | None = outbox_of(connection) if connection is not None else None
        assert connection is not None
        assert outbox is not None
        outbox.add(connection, self._courier, signals)

    def leave(self) -> None:
        """The block ends: if the host has committed, that is known now."""
        self._has_ended = True
        outbox = outbox_of(self._connection) if self._connection is not None else None
        if outbox is not None:
            outbox.settle()
