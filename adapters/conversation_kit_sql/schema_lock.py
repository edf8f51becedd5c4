"""One at a time may make or change the tables, of all processes that use a database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select

from conversation_kit.domain.errors import StorageUnavailable

WAIT_SECONDS = 600
"""How long one waits for another on MariaDB and MySQL. On PostgreSQL it is until the other one is done, on SQLite ``busy_seconds``."""


@contextmanager
def alone(connection: Connection, prefix: str, schema: str | None) -> Iterator[None]:
    """Hold the lock for these tables, until the transaction ends or, on MariaDB, the block. Raises ``StorageUnavailable``."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        driver = connection.connection.driver_connection
        if not driver.in_transaction:  # type: ignore[union-attr]
            # A host's connection, whose driver would begin at the first write only, and not at all for CREATE TABLE.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
    elif dialect == "postgresql":
        key = int.from_bytes(_digest(prefix, schema), signed=True)
        # However long the other one takes, which may be longer than anybody waits for a message's lock.
        patience = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(select(func.pg_advisory_xact_lock(key)))
        connection.execute(select(func.set_config("lock_timeout", patience, True)))
        yield
    elif dialect in ("mysql", "mariadb"):
        name = f"conversation_kit:{_digest(connection.engine.url.database, prefix, schema).hex()}"
        with _named_lock(connection, name):
            yield
    else:
        yield


@contextmanager
def _named_lock(connection: Connection, name: str) -> Iterator[None]:
    if connection.execute(select(func.get_lock(name, WAIT_SECONDS))).scalar() != 1:
        raise StorageUnavailable("Another process has been changing the tables for too long: see what it does.")
    try:
        yield
        # The lock does not end with the transaction, and who gets it next must see what was written.
        connection.exec_driver_sql("COMMIT")
    finally:
        if not connection.invalidated:
            connection.execute(select(func.release_lock(name)))


def _digest(*parts: str | None) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
