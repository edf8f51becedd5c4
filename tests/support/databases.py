"""Real database servers, and an empty place of its own in one for each test.

The server is the one that the environment names, else one that is started for the test run from an installed wheel or from the binaries on
this machine, else the test is skipped and says why.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from conversation_kit_sql import migrate
from conversation_kit_sql.schema.tables import make_tables
from tests.support.postgres import start

POSTGRES_VARIABLE = "CONVERSATION_KIT_TEST_POSTGRES_URL"
MARIADB_VARIABLE = "CONVERSATION_KIT_TEST_MARIADB_URL"
REQUIRED_VARIABLE = "CONVERSATION_KIT_TEST_REQUIRED"
"""Set where the services are known to run: then a service that is missing fails a test instead of skipping it."""

SQL = ("sqlite", "postgresql", "mariadb")
_made = ExitStack()
atexit.register(_made.close)


@contextmanager
def fresh(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of this kind (one of ``SQL``), which is gone afterwards; an SQLite file lies in ``folder``."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/chat.db"
        return
    with (_fresh_schema if kind == "postgresql" else _fresh_database)() as url:
        yield url


@contextmanager
def emptied(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a database of this kind that nothing is in, but the kit's tables may be.

    Tables take long to make. They are made once for the test run: an SQLite file is copied, a server is emptied after each use.
    """
    if kind == "sqlite":
        shutil.copy(_file(), folder / "chat.db")
        yield f"sqlite:///{folder}/chat.db"
        return
    url, engine = _tables(kind)
    try:
        yield url
    finally:
        with engine.begin() as connection:
            for table in make_tables().metadata.tables.values():
                connection.execute(table.delete())


@cache
def _file() -> Path:
    folder = Path(_made.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-")))
    engine = create_engine(f"sqlite:///{folder}/chat.db", poolclass=NullPool)
    with engine.begin() as connection:
        migrate(connection)
    return folder / "chat.db"


@cache
def _tables(kind: str) -> tuple[str, Engine]:
    folder = Path(_made.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-")))
    url = _made.enter_context(fresh(kind, folder))
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        migrate(connection)
    return url, engine


@contextmanager
def _fresh_schema() -> Iterator[str]:
    server, name = postgres(), _name()
    _execute(server, f"CREATE SCHEMA {name}")
    try:
        yield server.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    finally:
        _execute(server, f"DROP SCHEMA {name} CASCADE")


@contextmanager
def _fresh_database() -> Iterator[str]:
    server, name = mariadb(), _name()
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(server, f"DROP DATABASE {name}")


def _name() -> str:
    return f"ck_{uuid.uuid4().hex[:16]}"


def _execute(server: URL, statement: str) -> None:
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))


def postgres() -> URL:
    """A PostgreSQL server, through psycopg 3."""
    return _server("PostgreSQL", POSTGRES_VARIABLE, _start_postgres)


def mariadb() -> URL:
    """A MariaDB or MySQL server, through pymysql."""
    return _server("MariaDB", MARIADB_VARIABLE, _start_mariadb)


def _server(name: str, variable: str, start: Callable[[], URL | str]) -> URL:
    found = _found(variable, start)
    if isinstance(found, URL):
        return found
    reason = f"no {name}: {variable} is not set, and {found}"
    if os.environ.get(REQUIRED_VARIABLE):
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _found(variable: str, start: Callable[[], URL | str]) -> URL | str:
    given = os.environ.get(variable)
    return make_url(given) if given else start()


def _start_postgres() -> URL | str:
    """A server for the test run, or why there is none. Not a lambda, of which each would start a server of its own."""
    return start(_made)


def _start_mariadb() -> URL | str:
    """A server in a temporary folder, or why there is none."""
    server = shutil.which("mariadbd", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    install = shutil.which("mariadb-install-db")
    if server is None or install is None:
        return "neither mariadbd nor mariadb-install-db is installed"
    folder = Path(_made.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-")))
    user = ["--user=root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    where = [f"--datadir={folder}/data", "--no-defaults"][::-1]
    subprocess.run([install, *where, "--auth-root-authentication-method=normal", *user], check=True, capture_output=True)
    socket = folder / "socket"
    process = subprocess.Popen(
        [server, *where, f"--socket={socket}", "--skip-networking", *user], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _made.callback(process.wait)
    _made.callback(process.terminate)
    admin = shutil.which("mariadb-admin")
    if admin is None:
        return "mariadb-admin is not installed"
    subprocess.run([admin, "--no-defaults", f"--socket={socket}", "--wait=30", "ping"], check=True, capture_output=True)
    return URL.create("mysql+pymysql", "root", database="mysql", query={"unix_socket": str(socket)})
