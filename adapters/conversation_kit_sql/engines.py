"""The database: an engine, ours or a host's, and what SQLite needs of its connections."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql import sharing
from conversation_kit_sql.connecting import make_engine
from conversation_kit_sql.failures import is_broken
from conversation_kit_sql.prepared import PIPELINE, translated

EngineSource: TypeAlias = str | Engine | Callable[[], Engine]
CHECKPOINT_AFTER = 2000
"""After how many writes the write-ahead log of an SQLite file is moved into the file."""

SNAPSHOT = {
    "sqlite": ("BEGIN",),
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "mysql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
}
"""How a transaction begins that sees one instant, by dialect."""

log = logging.getLogger("conversation_kit_sql")


class Database:
    """Hands out connections and transactions. Raises ``ConfigurationError`` for a source that cannot be used.

    Over an engine of our own a write waits at most ``busy_seconds`` for a lock. Hold ``writer`` for ``writing`` and ``wrote``: one
    thread writes at a time, and to a database of our own always over the same connection. In an SQLite file that is the only one
    that moves the write-ahead log, and it does so in a mode that keeps other processes from writing meanwhile: SQLite before 3.51.3 can
    lose commits when one connection moves the log and another one starts it anew.
    """

    def __init__(self, source: EngineSource, *, busy_seconds: float) -> None:
        self.writer = threading.RLock()
        self._kept: Connection | None = None
        self._readers: list[Connection] = []
        self._writes = 0
        self.engine, self.owns_engine = _make_engine(source, busy_seconds)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.is_shared = isinstance(self.engine.pool, StaticPool)
        """Whether all use is of one connection, so that reads must wait for writes."""
        self.keeps = self.owns_engine and not self.is_shared
        """Whether all writes go over one connection that nobody else has."""
        self.transactions = 0
        """How many have begun to write."""
        self._disposed = False
        self._snapshot = SNAPSHOT.get(self.engine.dialect.name, SNAPSHOT["mysql"])
        if self.is_sqlite and not self.is_shared and self.engine.url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "Each thread would get an empty database of its own: make an engine on SQLite in memory with poolclass=StaticPool "
                "and connect_args={'check_same_thread': False}, or give the URL sqlite:// instead."
            )
        self._file = self._find_file()
        if self._file is not None:
            sharing.warn_if_shared(self._file)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reads, each statement of which sees what was committed when it began; see ``snapshot``."""
        with self.writer if self.is_shared else nullcontext():
            try:
                # Popped at once, because another thread may take the last one in between.
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect("AUTOCOMMIT")
            try:
                yield connection
                connection.rollback()
            except BaseException as error:
                connection.close()
                # After a restart of the database the others are dead too.
                self._close_readers(dead=is_broken(error))
                raise
            if self.keeps:
                self._readers.append(connection)
                if self._disposed:
                    self._close_readers(dead=True)  # this read was under way when the others were closed
            else:
                connection.close()

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """Let all that is read over this connection meanwhile be of one instant."""
        begin, *rest = self._snapshot
        self._begin(connection, begin)
        for statement in rest:
            connection.exec_driver_sql(statement)
        yield
        connection.exec_driver_sql("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; commits at the end of the block."""
        with self.writer:
            self.transactions += 1
            connection = self._kept
            if connection is None:
                connection = self._connect("READ COMMITTED")
                if self.keeps:
                    self._kept = connection
            try:
                with connection.begin():
                    if self.is_sqlite:
                        self._begin(connection, "BEGIN IMMEDIATE")
                    yield connection
            except DBAPIError as error:
                if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
                    self._forget()
                raise
            finally:
                if not self.keeps:
                    connection.close()
                elif self._disposed:
                    self._forget(dead=True)

    def _connect(self, isolation: Literal["AUTOCOMMIT", "READ COMMITTED"]) -> Connection:
        connection = self.engine.connect()
        if self.is_sqlite:
            return connection  # it is not the driver that begins transactions: see _begin
        try:
            connection = connection.execution_options(isolation_level=isolation)
        except Exception as error:
            # SQLAlchemy passes on what the driver says of this as it is.
            told = translated(connection, error, f"SET TRANSACTION ISOLATION LEVEL {isolation}", None)
            connection.close()
            raise told from error
        pipeline = _find_pipeline(connection)
        return connection if pipeline is None else connection.execution_options(**{PIPELINE: pipeline})

    def _begin(self, connection: Connection, statement: str) -> None:
        """Begin a transaction, on SQLite without its driver, which would do it only at the first write, and as a reader that cannot write.

        Called and not listened for, because a listener slows down every statement of its engine.
        """
        if self.is_sqlite and connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("ROLLBACK")  # a listener of the host's has just begun one of its own kind
        connection.exec_driver_sql(statement)

    def wrote(self, count: int) -> None:
        """Move the write-ahead log into the file once in a while."""
        self._writes += count
        if not self.is_sqlite or self._kept is None or self._writes < CHECKPOINT_AFTER:
            return
        self._writes = 0
        try:
            self._kept.connection.cursor().execute("PRAGMA wal_checkpoint(FULL)").close()
        except Exception:
            # Nothing is lost: the log grows until the next time.
            log.warning("The write-ahead log of %r could not be moved into its file.", self.engine.url, exc_info=True)
            self._forget()

    def _find_file(self) -> str | None:
        """The SQLite file that is used, if it is one that has a plain name."""
        name = self.engine.url.database
        return None if not self.is_sqlite or self.is_shared or name is None or name.startswith("file:") else name

    def _forget(self, *, dead: bool = False) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            _close(kept, dead=dead)

    def _close_readers(self, *, dead: bool) -> None:
        while self._readers:
            with suppress(IndexError):
                _close(self._readers.pop(), dead=dead)

    def dispose(self) -> None:
        """Close what is ours."""
        with self.writer:
            self._disposed = self.keeps
            self._forget(dead=True)
            self._close_readers(dead=True)
            if self.owns_engine:
                self.engine.dispose()
            file, self._file = self._file, None
            if file is not None:
                sharing.leave(file)


def _find_pipeline(connection: Connection) -> Any:
    """That of the driver's connection, which keeps it for as long as it lives; ``None`` if it can have none."""
    if connection.dialect.driver != "psycopg":
        return None
    if PIPELINE not in connection.info:
        from conversation_kit_sql.pipeline import pipeline_of  # where there is no psycopg, it cannot be imported

        connection.info[PIPELINE] = pipeline_of(connection.connection.driver_connection)
    return connection.info[PIPELINE]


def _close(connection: Connection, *, dead: bool) -> None:
    """Give it back. With ``dead`` nothing is said to a server that may be gone, which SQLAlchemy would log with a traceback."""
    if dead:
        connection.invalidate()
    connection.close()


def is_in_memory(source: EngineSource) -> bool:
    """Whether it is SQLite in memory. Of a function that makes an engine it is assumed that it is not."""
    try:
        url = source.url if isinstance(source, Engine) else make_url(source) if isinstance(source, str) else None
    except ArgumentError:
        return False  # told when it is opened
    return url is not None and url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def _make_engine(source: EngineSource, busy_seconds: float) -> tuple[Engine, bool]:
    """The engine, and whether it is ours to dispose."""
    if isinstance(source, Engine):
        return source, False
    if callable(source):
        return source(), False
    return make_engine(source, busy_seconds), True
