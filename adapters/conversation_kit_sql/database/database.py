"""The database: an engine, ours or a host's, and what SQLite needs of its connections."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from ssl import SSLError
from typing import Any, Literal

from sqlalchemy import Connection, Table, false
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from conversation_kit import forks
from conversation_kit.domain.errors import ConfigurationError, StorageUnavailable
from conversation_kit_sql.database import sharing
from conversation_kit_sql.database.compiled import Statement, fastest, run, translated
from conversation_kit_sql.database.dialects import sqlite
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.database.engine import EngineSource, engine_of
from conversation_kit_sql.database.errors import is_broken
from conversation_kit_sql.database.file_watch import FileWatch
from conversation_kit_sql.database.standstill import Standstill
from conversation_kit_sql.database.write_lock import holding

CHECKPOINT_AFTER = 2000
"""After how many writes the write-ahead log of an SQLite file is moved into the file."""

REST_SECONDS = 5.0
"""Seconds that a fork waits for transactions that are under way."""

_ROLLBACK: Statement = ("ROLLBACK", ())
"""Ends a transaction of another kind that a listener of the host's has just begun."""

log = logging.getLogger("conversation_kit_sql")


class Database:
    """Connections and transactions of one database. Raises ``ConfigurationError`` for a source that cannot be used.

    Over an engine of our own a write waits at most ``busy_seconds`` for a lock. ``writing`` holds ``writer``: one
    thread writes at a time, and to a database of our own always over the same connection. In an SQLite file that is the only one
    that moves the write-ahead log, and it does so in a mode that keeps other processes from writing meanwhile: SQLite before 3.51.3 can
    lose commits when one connection moves the log and another one starts it anew. ``prepare`` gives each connection of the kit the
    way in which its statements are run.
    """

    def __init__(self, source: EngineSource, *, busy_seconds: float, prepare: Callable[[Connection], Connection] = fastest) -> None:
        self._prepare = prepare
        self.writer = threading.RLock()
        self._kept: Connection | None = None
        self._readers: list[Connection] = []
        self._standstill = Standstill()
        self._rests = False
        self._generation = 0
        """Number of the file that a connection is to, which grows when another file takes its place."""
        self.engine, self.owns_engine = engine_of(source, busy_seconds)
        self.dialect = dialect_of(self.engine)
        """Answers of the database, except where MySQL and MariaDB differ: for that ask the dialect of a connection."""
        self.is_shared = isinstance(self.engine.pool, StaticPool)
        """True if all use is of one connection, so that reads must wait for writes."""
        self.keeps = self.owns_engine and not self.is_shared
        """True if all writes go over one connection that nobody else has."""
        self.note: dict[str, Any] = {}
        """Leftovers of the last transaction that wrote for the very next one: empty where others may have committed in between."""
        self.written = 0
        """Number of writes, about, since the write-ahead log was moved into the file."""
        begin, counter = self.dialect.begin_write, self.dialect.commit_counter if self.keeps else None
        self._to_write: list[Statement] = [(statement, ()) for statement in (begin, counter) if statement is not None]
        """Statements that a transaction that writes begins with; the last is what tells of others, where it counts."""
        self._version: object = None
        """Word of the database about the commits of others when the last transaction began; ``None`` if it was over another connection."""
        self._disposed = False
        if self.dialect.is_embedded and not self.is_shared and sqlite.is_in_memory(self.engine.url):
            raise ConfigurationError(
                "Each thread would get an empty database of its own: make an engine on SQLite in memory with poolclass=StaticPool "
                "and connect_args={'check_same_thread': False}, or give the URL sqlite:// instead."
            )
        self._file = self._find_file()
        self._watch = FileWatch(self._file)
        if self._file is not None:
            sharing.warn_if_shared(self._file)

    def try_out(self) -> None:
        """Connect once. Raises ``ConfigurationError`` for what no connection can have."""
        try:
            with self.reading() as connection:
                dialect_of(connection).check_encoding(connection)
        except (TypeError, ValueError, SSLError, FileNotFoundError) as error:
            # What a driver says of an option that it does not know, or of a file that it cannot read.
            raise ConfigurationError(f"The storage URL has an option that its driver cannot use: {error}.") from error

    def try_to_write(self, table: Table) -> None:
        """Write nothing to ``table``, which an SQLite file refuses as it refuses everything if it can only be read."""
        if not self.dialect.is_embedded:
            return
        try:
            with self.writing() as connection:
                connection.execute(table.delete().where(false()))
        except OperationalError as error:
            if not str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                raise  # else somebody else writes, so one can

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reads, each statement of which sees what was committed when it began; see ``snapshot``."""
        self._standstill.enter()
        try:
            with holding(self.writer) if self.is_shared else nullcontext():
                if self._watch.is_due() and self._watch.is_replaced():
                    self._reopen()
                generation = self._generation
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
                    if self._disposed or generation != self._generation:
                        self._close_readers(dead=True)  # this read was under way when the others were closed
                else:
                    connection.close()
        finally:
            self._standstill.leave()

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """Let all that is read over this connection meanwhile be of one instant."""
        self._begin(connection, *self.dialect.snapshot)
        yield
        connection.exec_driver_sql("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a transaction that writes, and commit it at the end of the block."""
        with self.writer:
            if self._disposed:
                raise StorageUnavailable("The storage was closed while a write waited: nothing was written.")
            if self._watch.is_replaced():
                self._reopen()
            note, self.note = self.note, {}
            connection = self._kept
            if connection is None:
                connection = self._connect("READ COMMITTED")
                if self.keeps:
                    self._kept = connection
            try:
                with connection.begin():
                    if self._to_write:
                        if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
                            run(connection, [_ROLLBACK])
                        version = run(connection, self._to_write)[-1]
                        if version == self._version:
                            self.note = note
                        self._version = version if self.keeps else None
                    yield connection
                if self.written >= CHECKPOINT_AFTER:
                    self._move_log()
            except DBAPIError as error:
                if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
                    self._forget()
                raise
            finally:
                self.note = {}
                if not self.keeps:
                    connection.close()

    def _connect(self, isolation: Literal["AUTOCOMMIT", "READ COMMITTED"]) -> Connection:
        connection = self.engine.connect()
        self._watch.opened()
        if not self.dialect.driver_begins:
            return self._prepare(connection)  # so it has no say in how they are isolated: see _begin
        try:
            connection = connection.execution_options(isolation_level=isolation)
        except Exception as error:
            # SQLAlchemy passes on what the driver says of this as it is.
            told = translated(connection, error, f"SET TRANSACTION ISOLATION LEVEL {isolation}", None)
            connection.close()
            raise told from error
        return self._prepare(connection)

    def _begin(self, connection: Connection, *statements: str) -> None:
        """Begin a transaction with these statements.

        Called and not listened for, because a listener slows down every statement of its engine.
        """
        if self.dialect.driver_begins:
            for statement in statements:
                connection.exec_driver_sql(statement)
            return
        begin = [(statement, ()) for statement in statements]
        if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            begin.insert(0, _ROLLBACK)
        run(connection, begin)  # SQLAlchemy's own way takes as long as SQLite takes to append an event

    def _move_log(self) -> None:
        """Move the write-ahead log into the file."""
        self.written = 0
        checkpoint = self.dialect.checkpoint
        if checkpoint is None or self._kept is None:
            return
        try:
            self._kept.connection.cursor().execute(checkpoint).close()
        except Exception:
            # Nothing is lost: the log grows until the next time.
            log.warning("The write-ahead log of %r could not be moved into its file.", self.engine.url, exc_info=True)
            self._forget()

    def _find_file(self) -> str | None:
        """Return the SQLite file that is used, if it is one that has a plain name."""
        name = self.engine.url.database
        return None if not self.dialect.is_embedded or self.is_shared or name is None or name.startswith("file:") else name

    def _reopen(self) -> None:
        """Give up the connections to a file that was replaced."""
        with self.writer:
            self._generation += 1
            self._forget()
            self._close_readers(dead=False)
            self.engine.dispose()

    def _forget(self, *, dead: bool = False) -> None:
        kept, self._kept, self._version = self._kept, None, None
        if kept is not None:
            _close(kept, dead=dead)

    def _close_readers(self, *, dead: bool) -> None:
        while self._readers:
            with suppress(IndexError):
                _close(self._readers.pop(), dead=dead)

    def rest(self) -> None:
        """Wait, before a fork, for what is under way, and close what SQLite must not see in two processes: its connections to a file.

        Connections to a server stay as they are. What takes longer than ``REST_SECONDS`` goes on in this process alone.
        """
        deadline = time.monotonic() + REST_SECONDS
        nobody_reads = self._standstill.begin(REST_SECONDS)
        self._rests = self.writer.acquire(timeout=max(0.0, deadline - time.monotonic()))
        is_in_use = not (nobody_reads and self._rests) or (self._kept is not None and self._kept.in_transaction())
        if self.dialect.is_embedded and not self.is_shared and not is_in_use:
            self._forget()
            self._close_readers(dead=False)
            self.engine.dispose()

    def go_on(self) -> None:
        """Undo ``rest``: the fork is over."""
        if self._rests:
            self._rests = False
            self.writer.release()
        self._standstill.end()

    def abandon(self) -> None:
        """Give up in a forked process what is its parent's. Nothing is ever closed, or the server would end it for the parent too."""
        for connection in (*self._readers, *([] if self._kept is None else [self._kept])):
            if not connection.closed and not connection.invalidated:
                connection.detach()  # or it would be reset when it is collected as garbage
        forks.keep((self, self.engine.pool))
        self.engine.dispose(close=False)

    def dispose(self) -> None:
        """Close what is ours."""
        with self.writer:
            self._disposed = not self.is_shared
            self._forget(dead=True)
            self._close_readers(dead=True)
            if self.owns_engine:
                self.engine.dispose()
            file, self._file = self._file, None
            if file is not None:
                sharing.leave(file)


def _close(connection: Connection, *, dead: bool) -> None:
    """Give it back. With ``dead`` nothing is said to a server that may be gone, which SQLAlchemy would log with a traceback."""
    if dead:
        connection.invalidate()
    connection.close()
