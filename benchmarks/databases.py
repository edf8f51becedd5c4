"""Databases of a run's own, on the servers that there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

POSTGRES_VARIABLE = "CONVERSATION_KIT_TEST_POSTGRES_URL"
MARIADB_VARIABLE = "CONVERSATION_KIT_TEST_MARIADB_URL"
EXISTS = {
    "postgresql": "SELECT count(*) FROM pg_database WHERE datname = :name",
    "mysql": "SELECT count(*) FROM information_schema.schemata WHERE schema_name = :name",
}


def why_not(url: str | None, variable: str) -> str | None:
    """Return the reason that the database server of this URL, which stood in ``variable``, cannot be used; ``None`` when it can."""
    if not url:
        return f"{variable} is not set"
    try:
        with _administering(url):
            return None
    except (SQLAlchemyError, ImportError) as error:
        return str(error).partition("\n")[0]


@contextmanager
def own_database(url: str, name: str, *, keep: bool = False) -> Iterator[str]:
    """Give the URL of a database on the server of ``url``, dropped after the block.

    It is made anew, except that with ``keep`` the one that exists is taken, and nothing is dropped.
    """
    with _administering(url) as connection:
        if not keep:
            _drop(connection, name)
        if not connection.execute(text(EXISTS[connection.dialect.name]), {"name": name}).scalar():
            connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        if not keep:
            with _administering(url) as connection:
                _drop(connection, name)


def size_on_disk(url: str) -> int:
    """Return the bytes that a SQLite file with its log, or a PostgreSQL database, takes."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        files = [Path(f"{target.database}{end}") for end in ("", "-wal", "-shm")]
        return sum(file.stat().st_size for file in files if file.exists())
    with _administering(url) as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


@contextmanager
def _administering(url: str) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _drop(connection: Connection, name: str) -> None:
    force = " WITH (FORCE)" if connection.dialect.name == "postgresql" else ""
    connection.execute(text(f"DROP DATABASE IF EXISTS {name}{force}"))
