"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, String, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql.database.dialects.dialect import Dialect, EngineOptions, ErrorCodes
from conversation_kit_sql.database.dialects.server import digest, server_options

PIPELINE = "conversation_kit_pipeline"
"""The key of ``Connection.info`` under which the pipeline of a connection is kept."""

_ADVICE = (
    ("password authentication failed", "set the right user and password in the storage URL"),
    ("no password supplied", "put the password into the storage URL, postgresql://user:password@host/database"),
    ("no pg_hba.conf entry", "let the server accept this user, database and host, or use ones that it accepts"),
    ("permission denied for", "grant the user that right"),
    ("server does not support SSL", "take sslmode out of the storage URL, or set up TLS on the server"),
    ("certificate verify failed", "give the certificate of the server's authority as sslrootcert"),
    ("invalid sslmode value", "correct sslmode in the storage URL"),
    ("database ", "create the database, or correct its name in the storage URL"),
    ("role ", "create the user, or correct its name in the storage URL"),
)
"""Parts of what libpq says, which passes on no codes, and what to do. The last two are followed by a name and ``does not exist``."""


class PostgreSQL(Dialect):
    """Answers of PostgreSQL."""

    name = "postgresql"
    codes = ErrorCodes(
        # 26000 is a connection that has forgotten a prepared statement, as psycopg makes it do when a transaction is rolled back.
        conflict=frozenset({"40001", "40P01", "26000"}),
        locked=frozenset({"55P03"}),
        unknown=frozenset({"08007", "40003"}),
        read_only=frozenset({"25006"}),  # a standby before it is promoted
        missing=frozenset({"42P01", "42703", "3F000"}),
    )
    snapshot = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
    joins_texts = True
    clock = "floor(extract(epoch FROM clock_timestamp()) * 1000)"

    def characters(self, length: int) -> TypeEngine[Any]:
        """Return a type that is not ordered by the language that the database was set up with."""
        return String(length, collation="C")

    def engine_options(self, url: URL, busy_seconds: float) -> EngineOptions:
        """Return how an engine is made whose statements wait at most ``busy_seconds`` for a lock."""
        return server_options(url, partial(_bound, busy_seconds))

    def check_encoding(self, connection: Connection) -> None:
        """See that client and server use UTF-8."""
        client = str(connection.exec_driver_sql("SHOW client_encoding").scalar_one())
        server = str(connection.exec_driver_sql("SHOW server_encoding").scalar_one())
        if client != "UTF8":
            raise ConfigurationError(
                f"The connection's client_encoding is {client}, which cannot carry every text: make your engine with "
                'connect_args={"client_encoding": "utf8"}.'
            )
        if server not in ("UTF8", "SQL_ASCII"):
            raise ConfigurationError(
                f"The database's encoding is {server}, which cannot store every text: create one WITH ENCODING 'UTF8'."
            )

    def pipeline(self, connection: Connection) -> Any:
        """Return libpq's pipeline, which psycopg can use."""
        if connection.dialect.driver != "psycopg":
            return None
        if PIPELINE not in connection.info:
            from conversation_kit_sql.database.pipeline import pipeline_of  # where there is no psycopg, it cannot be imported

            connection.info[PIPELINE] = pipeline_of(connection.connection.driver_connection)
        return connection.info[PIPELINE]

    @contextmanager
    def hurried(self, connection: Connection, seconds: float) -> Iterator[None]:
        """Set the limit of the transaction, with which it ends."""
        self.queueing(connection, seconds)
        yield

    def queueing(self, connection: Connection, seconds: float) -> str:
        """Set the limit of the transaction."""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(seconds * 1000)}")
        return ""

    @contextmanager
    def alone(self, connection: Connection, *key: str | None) -> Iterator[None]:
        """Hold an advisory lock, which is one of the database, until the transaction ends."""
        # However long the other one takes, which may be longer than anybody waits for a message's lock.
        patience = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest(*key), signed=True))))
        connection.execute(select(func.set_config("lock_timeout", patience, True)))
        yield

    def see_latest(self, connection: Connection) -> None:
        """Undo a default of the server or the role; else the transaction sees what there was when it began to wait for its first lock."""
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def advice(self, error: DBAPIError, told: str, url: URL) -> str | None:
        """Return a sentence by the words of libpq."""
        for words, advice in _ADVICE:
            if words in told and (not words.endswith(" ") or "does not exist" in told):
                return f"The database refuses ({told}): {advice}."
        return None


def _bound(busy_seconds: float, connection: Any, record: Any) -> None:
    """Wait no longer for locks, unless the URL, the role or the server says how long already."""
    cursor = connection.cursor()
    cursor.execute("SHOW lock_timeout")
    if cursor.fetchone()[0] == "0":
        cursor.execute(f"SET lock_timeout = {max(1, round(busy_seconds * 1000))}")
    cursor.close()
    connection.commit()
