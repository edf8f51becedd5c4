"""Wake-ups over PostgreSQL's LISTEN and NOTIFY: no service that is not there already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio.to_thread import run_sync
from sqlalchemy.dialects import postgresql

from conversation_kit.brokers.threaded import ThreadedBroker
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql.database.dialects.server import TIMEOUTS
from conversation_kit_sql.database.urls import own_url, with_ssl

if TYPE_CHECKING:
    from psycopg import Connection


class PostgresBroker(ThreadedBroker):
    """A ``Broker``. ``url`` is one of PostgreSQL, such as the storage's; it needs a direct connection, or a pooler in session mode.

    Everybody in the database who has the same ``channel`` hears everybody. Nothing is written to a disk. Raises ``ConfigurationError``.
    """

    def __init__(self, url: str, *, channel: str = "conversation_kit") -> None:
        super().__init__()
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise ConfigurationError("The broker 'postgres' needs psycopg: pip install 'conversation-kit[postgres]'.") from error
        self._psycopg = psycopg
        try:
            parsed, _ = with_ssl(own_url(url))
        except ConfigurationError as error:
            raise ConfigurationError("The broker's URL cannot be read: it is postgresql://user:password@host/database.") from error
        if parsed.get_backend_name() != "postgresql":
            raise ConfigurationError(f"The broker 'postgres' is on PostgreSQL, and the URL is of {parsed.get_backend_name()!r}.")
        dialect: Any = postgresql.psycopg.PGDialect_psycopg
        self._arguments, options = dialect().create_connect_args(parsed)
        self._options: dict[str, Any] = {**TIMEOUTS["psycopg"], **options}
        if not 0 < len(channel.encode()) < 64:
            raise ConfigurationError("channel= is a name of PostgreSQL, so it has 1 to 63 bytes.")
        self._channel = channel

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        """See ``ThreadedBroker.sender``."""
        async with self._connection() as connection:

            async def send(text: str) -> None:
                await run_sync(connection.execute, "SELECT pg_notify(%s, %s)", (self._channel, text), abandon_on_cancel=True)

            yield send

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[AsyncIterator[str]]:
        """See ``ThreadedBroker.receiver``."""
        async with self._connection() as connection:
            name = self._psycopg.sql.Identifier(self._channel)
            await run_sync(connection.execute, self._psycopg.sql.SQL("LISTEN {}").format(name), abandon_on_cancel=True)
            yield _texts(connection)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection[Any]]:
        made: list[Connection[Any]] = []
        is_wanted = True

        def connect() -> None:
            made.append(self._psycopg.connect(*self._arguments, autocommit=True, **self._options))
            if not is_wanted:
                made[0].close()

        try:
            await run_sync(connect, abandon_on_cancel=True)
            yield made[0]
        finally:
            is_wanted = False
            if made:
                made[0].close()


async def _texts(connection: Connection[Any]) -> AsyncIterator[str]:
    while True:
        for notification in tuple(connection.notifies(timeout=0)):
            yield notification.payload
        await anyio.wait_readable(connection.fileno())
