"""One at a time may make or change the tables, of all processes that use a database."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sqlalchemy import Connection

from conversation_kit_sql.database.dialects.finding import dialect_of


def alone(connection: Connection, prefix: str, schema: str | None) -> AbstractContextManager[None]:
    """Hold the lock for these tables, until the transaction ends or, on MariaDB, the block. Raises ``StorageUnavailable``.

    One waits for another on MariaDB and MySQL for ten minutes, on PostgreSQL until it is done, and on SQLite for ``busy_seconds``.
    """
    return dialect_of(connection).alone(connection, prefix, schema)
