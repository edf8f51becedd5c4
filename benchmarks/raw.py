"""The yardstick for one client: two statements in one transaction, as a database's own driver carries them out in a worker thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from sqlalchemy import make_url

TABLES = (
    "CREATE TABLE conversation (id varchar(64) PRIMARY KEY, sequence_number bigint NOT NULL)",
    "CREATE TABLE event (conversation_id varchar(64), id bigint, data text NOT NULL, PRIMARY KEY (conversation_id, id))",
)
TAKE = "UPDATE conversation SET sequence_number = sequence_number + 1 WHERE id = ? RETURNING sequence_number"
INSERT = "INSERT INTO event (conversation_id, id, data) VALUES (?, ?, ?)"


class RawLog:
    """Log of events, appended over one connection for each thread.

    It makes its tables, with these conversations, at once.
    """

    def __init__(self, connect: Callable[[], Any], begin: str, mark: str, conversation_ids: Iterable[str]) -> None:
        self._connect = connect
        self._begin = begin
        self._take, self._insert = TAKE.replace("?", mark), INSERT.replace("?", mark)
        self._threads = threading.local()
        connection = self._connection()
        for statement in TABLES:
            connection.execute(statement)
        for id in conversation_ids:
            connection.execute(f"INSERT INTO conversation (id, sequence_number) VALUES ({mark}, 0)", (id,))

    def append(self, conversation_id: str, data: str) -> int:
        """Store an event and return its id."""
        connection = self._connection()
        connection.execute(self._begin)
        try:
            (id,) = connection.execute(self._take, (conversation_id,)).fetchone()
            connection.execute(self._insert, (conversation_id, id, data))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return int(id)

    def _connection(self) -> Any:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = self._connect()
        return connection


def open_log(url: str, conversation_ids: Iterable[str]) -> RawLog:
    """Open a log in the SQLite file or the PostgreSQL database of an SQLAlchemy URL."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(str(target.database), isolation_level=None, timeout=30)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            return connection

        return RawLog(connect, "BEGIN IMMEDIATE", "?", conversation_ids)
    psycopg: Any = import_module("psycopg")
    address = target.set(drivername="postgresql").render_as_string(hide_password=False)
    return RawLog(lambda: psycopg.connect(address, autocommit=True), "BEGIN", "%s", conversation_ids)
