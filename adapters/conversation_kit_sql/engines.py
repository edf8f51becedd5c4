"""Engines, and what SQLite needs of its connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from conversation_kit.domain.errors import ConfigurationError

EngineSource: TypeAlias = str | Engine | Callable[[], Engine]
READERS = 8
"""How many reads may be under way at once."""

WRITES = "conversation_kit_writes"
"""The execution option of a connection that is going to write."""


def make_engine(source: EngineSource, *, busy_seconds: float) -> tuple[Engine, bool]:
    """The engine to use, and whether it is ours to dispose.

    Waits at most ``busy_seconds`` for another process's lock on an SQLite file. Raises ``ConfigurationError`` for a wrong URL.
    """
    if isinstance(source, Engine):
        return _prepared(source), False
    if callable(source):
        return _prepared(source()), False
    try:
        url = make_url(source)
        if url.get_backend_name() != "sqlite":
            return _prepared(create_engine(url, pool_size=READERS + 1, pool_pre_ping=True)), True
        if url.database in (None, "", ":memory:"):
            engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        else:
            engine = create_engine(url, pool_size=READERS + 1, connect_args={"timeout": busy_seconds})
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"The storage URL {source!r} cannot be used: {error}") from error
    event.listen(engine, "connect", _set_pragmas)
    return _prepared(engine), True


def is_shared_memory(engine: Engine) -> bool:
    """Whether all use of the engine is one connection, so that reads must wait for writes."""
    return isinstance(engine.pool, StaticPool)


def _set_pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    # FULL: an acknowledged commit survives the loss of power, not only of the process.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepared(engine: Engine) -> Engine:
    """A view of the engine whose SQLite transactions begin as they should; the engine itself stays as it is."""
    view = engine.execution_options()
    if engine.dialect.name == "sqlite":
        event.listen(view, "begin", _begin)
    return view


def _begin(connection: Connection) -> None:
    # The driver would begin a transaction only at the first write, as a reader that can no longer become the writer.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
