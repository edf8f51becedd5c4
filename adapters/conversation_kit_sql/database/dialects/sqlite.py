"""SQLite: a file, or memory of this process, with one writer at a time."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, false
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool

from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit_sql.database.dialects.dialect import READERS, Dialect, EngineOptions, ErrorCodes

SWITCH_SECONDS = 5.0
"""Seconds for which a connection waits while another one switches a new file to its log."""


class SQLite(Dialect):
    """Answers of SQLite through Python's own driver."""

    name = "sqlite"
    codes = ErrorCodes(missing_words=("no such table", "no such column", "has no column named"))
    locks_rows = False
    is_embedded = True
    # Python's driver would begin only at the first write, and as a reader that cannot write.
    driver_begins = False
    begin_write = "BEGIN IMMEDIATE"
    snapshot = ("BEGIN",)
    commit_counter = "PRAGMA data_version"
    checkpoint = "PRAGMA wal_checkpoint(FULL)"
    # It is Python that takes the time here, and threads only take it from each other.
    readers = 1
    joins_texts = True
    least, greatest = "min", "max"
    # It has octet_length since 3.43 only, and counts the characters of a text one by one.
    octet_length = "length(CAST({} AS BLOB))"

    def engine_options(self, url: URL, busy_seconds: float) -> EngineOptions:
        """Return how an engine is made whose statements wait at most ``busy_seconds`` for the file."""
        if is_in_memory(url):
            return EngineOptions({"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}, (_set_pragmas,))
        options = {"pool_size": READERS + 1, "connect_args": {"timeout": busy_seconds}}
        return EngineOptions(options, (_set_pragmas,), (_make_private_file,))

    @contextmanager
    def alone(self, connection: Connection, *key: str | None) -> Iterator[None]:
        """Be the one that writes."""
        if not _is_in_transaction(connection):
            # A host's connection, whose driver would begin at the first write only, and not at all for CREATE TABLE.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield

    def commits_by_itself(self, connection: Connection) -> bool:
        """Return ``False``: its driver calls it autocommit that it begins no transactions by itself, and then the kit does."""
        return False

    def become_writer(self, connection: Connection, table: Table) -> None:
        """Become the writer before anything is read, so that what is read is the latest and nobody else can write.

        Python's driver begins a transaction at the first write only, and a savepoint is none for it: then this begins it. One that has
        begun without becoming the writer does so here, unless somebody else has written since it first read.
        """
        if not _is_in_transaction(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        try:
            connection.execute(table.delete().where(false()))  # deletes nothing, but is a write
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_BUSY_SNAPSHOT":
                raise StorageUnavailable(
                    "Your transaction has read before somebody else wrote, and SQLite then lets it write no more. Begin it with "
                    "BEGIN IMMEDIATE, or let it write before it reads; see docs/transactions.md."
                ) from error
            raise

    def advice(self, error: DBAPIError, told: str, url: URL) -> str | None:
        """Return a sentence on what is wrong with the file."""
        file = file_of(url)
        kind = str(getattr(error.orig, "sqlite_errorname", ""))
        if file is None:
            return None
        folder = file.absolute().parent
        if kind.startswith("SQLITE_NOTADB"):
            return f"{file} is no SQLite database: name another file in the storage URL."
        if not kind.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            return None
        if not folder.is_dir():
            return (
                f"The folder {folder} of the SQLite file does not exist: create it, or correct the storage URL "
                "(sqlite:////... is absolute)."
            )
        if file.is_dir():
            return f"{file} is a folder: name a file in it in the storage URL, such as {file / 'chat.db'}."
        if not os.access(folder, os.W_OK | os.X_OK):
            return (
                f"This process may not write into the folder {folder}, where SQLite has to put files beside {file.name}: grant it that "
                "right."
            )
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            return f"This process may not read and write the SQLite file {file}: grant it that right."
        if kind.startswith("SQLITE_READONLY"):
            return (
                f"The SQLite file {file} is opened for reading only: take mode=ro out of the storage URL, or see how its disk is mounted."
            )
        return None


def is_in_memory(url: URL) -> bool:
    """Tell whether the data of an SQLite URL are gone with its connection."""
    return url.database in (None, "", ":memory:")


def file_of(url: URL) -> Path | None:
    """Return the SQLite file of a URL, also of one like ``file:chat.db?mode=ro``; ``None`` in memory."""
    return None if is_in_memory(url) or url.query.get("mode") == "memory" else Path(str(url.database).removeprefix("file:"))


def _is_in_transaction(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return bool(driver.in_transaction)


def _make_private_file(dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
    """Make a file that is not there yet one that only its owner may read; SQLite gives the files beside it the same rights."""
    if options.get("uri"):
        return
    # One that is there is left as it is; and why it cannot be made SQLite says as soon as it tries the same.
    with suppress(OSError):
        os.close(os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _set_pragmas(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: an acknowledged commit survives the loss of power, not only of the process.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=0"):
        _patiently(cursor, f"PRAGMA {pragma}")
    cursor.close()


def _patiently(cursor: Any, statement: str) -> None:
    """Execute it, and again while another connection is switching the same new file to its log: SQLite does not wait for that by itself."""
    deadline = time.monotonic() + SWITCH_SECONDS
    while True:
        try:
            cursor.execute(statement)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
        else:
            return
