"""MySQL and MariaDB, which differ in the names of collations and in how long a statement may wait."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, func, select
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARCHAR
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from conversation_kit.domain.errors import ConfigurationError, StorageUnavailable
from conversation_kit_sql.database.dialects.dialect import Dialect, EngineOptions, ErrorCodes
from conversation_kit_sql.database.dialects.server import digest, limits_of, server_options

WAIT_SECONDS = 600
"""Seconds that one who changes the tables waits for another."""

LEAST_SECONDS = 0.05
"""Seconds for which it is not worth to wait a whole one."""

_ADVICE = {
    1045: "set the right user and password in the storage URL",
    1698: "set the right user and password in the storage URL",
    1044: "grant the user that database",
    1049: "create the database, or correct its name in the storage URL",
    1142: "grant the user that right",
    1227: "grant the user that right",
}


class MySQL(Dialect):
    """Answers of MySQL."""

    name = "mysql"
    codes = ErrorCodes(
        # MySQL says with an operational error that it takes no writes now, which is told as such anyway.
        conflict=frozenset({1213, 1020}),
        locked=frozenset({1205, 3572}),
        out_of_time=frozenset({1969}),
        unknown=frozenset({1180}),
        missing=frozenset({1146, 1054}),
    )
    snapshot = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    # Of a small table it would rather read and lock every row, and so wait for those that nobody asked for.
    index_hint = "FORCE INDEX (`{}`)"
    clock = "timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000"
    collation = "utf8mb4_0900_bin"
    """The collation by code points that takes trailing blanks for what they are."""

    def characters(self, length: int) -> TypeEngine[Any]:
        """Return a type that tells upper and lower case, accents and trailing blanks apart."""
        return VARCHAR(length, charset="utf8mb4", collation=self.collation)

    def long_text(self) -> TypeEngine[Any]:
        """Return a type of up to 16 MB; TEXT would hold 64 kB."""
        return MEDIUMTEXT(charset="utf8mb4", collation=self.collation)

    def engine_options(self, url: URL, busy_seconds: float) -> EngineOptions:
        """Return how an engine is made whose statements wait at most ``busy_seconds`` for a lock."""
        connected = [partial(_bound, busy_seconds)]
        if url.get_driver_name() == "pymysql":
            connected.append(partial(_keep_alive, "read_timeout" in limits_of(url)))
        return server_options(url, *connected)

    def check_encoding(self, connection: Connection) -> None:
        """See that the connection uses utf8mb4."""
        names = "@@character_set_client", "@@character_set_connection", "@@character_set_results"
        found = connection.exec_driver_sql(f"SELECT {', '.join(names)}").one()
        if set(found) != {"utf8mb4"}:
            told = ", ".join(sorted({str(one) for one in found}))
            raise ConfigurationError(
                f"The connection's character set is {told}, which cannot carry every text: add charset=utf8mb4 to the URL of your engine."
            )

    @contextmanager
    def hurried(self, connection: Connection, seconds: float) -> Iterator[None]:
        """Set the limits of the session for the block: for rows and for whole tables, in whole seconds. MySQL takes 0 for 1."""
        rows, tables = connection.exec_driver_sql("SELECT @@SESSION.innodb_lock_wait_timeout, @@SESSION.lock_wait_timeout").one()
        _wait(connection, *[0 if seconds < LEAST_SECONDS else math.ceil(seconds)] * 2)
        try:
            yield
        finally:
            if not connection.invalidated:
                _wait(connection, rows, tables)

    @contextmanager
    def alone(self, connection: Connection, *key: str | None) -> Iterator[None]:
        """Hold a named lock, which is one of the whole server, for the block."""
        name = f"conversation_kit:{digest(connection.engine.url.database, *key).hex()}"
        if connection.execute(select(func.get_lock(name, WAIT_SECONDS))).scalar() != 1:
            raise StorageUnavailable("Another process has been changing the tables for too long: see what it does.")
        try:
            yield
            # The lock does not end with the transaction, and who gets it next must see what was written.
            connection.exec_driver_sql("COMMIT")
        finally:
            if not connection.invalidated:
                connection.execute(select(func.release_lock(name)))

    def check_isolation(self, connection: Connection) -> None:
        """Refuse ``REPEATABLE READ``: the members that are read may be older than the conversation that is locked."""
        if connection.get_isolation_level() == "REPEATABLE READ":
            raise ConfigurationError(
                "A transaction in REPEATABLE READ does not see what others committed since its first read, so the kit cannot decide in it: "
                'make your engine with create_engine(..., isolation_level="READ COMMITTED").'
            )

    def advice(self, error: DBAPIError, told: str, url: URL) -> str | None:
        """Return a sentence by the error's number."""
        number = (getattr(error.orig, "args", None) or (None,))[0]
        return f"The database refuses ({told}): {_ADVICE[number]}." if number in _ADVICE else None


class MariaDB(MySQL):
    """Answers of MariaDB, where they are not MySQL's."""

    name = "mariadb"
    collation = "utf8mb4_nopad_bin"

    def queueing(self, connection: Connection, seconds: float) -> str:
        """Return the words for a limit of one statement; MySQL has nothing of the kind, and waits for as long as ever."""
        return f"SET STATEMENT max_statement_time = {seconds:.3f} FOR "


def _wait(connection: Connection, rows: int, tables: int) -> None:
    connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {rows}, SESSION lock_wait_timeout = {tables}")


def _bound(busy_seconds: float, connection: Any, record: Any) -> None:
    seconds = max(1, math.ceil(busy_seconds))
    cursor = connection.cursor()
    # Locks of rows, and those of whole tables, for which the server would wait a day.
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds}")
    cursor.close()


def _keep_alive(lift: bool, connection: Any, record: Any) -> None:
    """Notice a server that vanished without a word, and with ``lift`` give answers as long as they take."""
    if lift:
        # pymysql waits for the server's greeting as long as for an answer, and a migration may take longer than a greeting.
        connection._read_timeout = None
    link = connection._sock
    if isinstance(link, socket.socket) and link.family != getattr(socket, "AF_UNIX", None):
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000)):
            if hasattr(socket, name):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
