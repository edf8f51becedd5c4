"""Rows by the million, straight into a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from sqlalchemy import Table, make_url


class Loader(Protocol):
    """Way to take rows into a database, all between two calls of ``commit`` or none."""

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert these values of these columns."""
        ...

    def commit(self) -> None:
        """Keep what was loaded."""
        ...

    def value(self, query: str) -> int:
        """Return the one number that a query answers."""
        ...

    def settle(self) -> None:
        """Leave nothing over from the loading that would disturb what comes next."""
        ...


class _SQLiteLoader:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {pragma}")

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table.name} ({_names(columns)}) VALUES ({marks})", rows)

    def commit(self) -> None:
        self._connection.commit()

    def value(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def settle(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _PostgresLoader:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {table.name} ({_names(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def commit(self) -> None:
        self._connection.commit()

    def value(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def settle(self) -> None:
        self._connection.commit()
        self._connection.autocommit = True
        self._connection.execute("VACUUM (ANALYZE)")
        self._connection.execute("CHECKPOINT")
        self._connection.autocommit = False


@contextmanager
def loading(url: str) -> Iterator[Loader]:
    """Give a loader for the SQLite file or the PostgreSQL database of an SQLAlchemy URL."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        connection: Any = sqlite3.connect(str(target.database))
        loader: Loader = _SQLiteLoader(connection)
    else:
        connection = import_module("psycopg").connect(target.set(drivername="postgresql").render_as_string(hide_password=False))
        loader = _PostgresLoader(connection)
    try:
        yield loader
    finally:
        connection.close()


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
