"""Engines of our own, and what each of their connections is set to."""

from __future__ import annotations

import math
import socket
import sqlite3
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from conversation_kit.domain.errors import ConfigurationError

READERS = 8
"""How many reads may be under way at once, except on SQLite."""

SWITCH_SECONDS = 5.0

TIMEOUTS: Mapping[str, Mapping[str, Any]] = {
    # Nobody waits for a server that is not there, nor for one that vanished without a word.
    "psycopg": {"connect_timeout": 3, "tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
    "pymysql": {"connect_timeout": 3, "read_timeout": 3},  # the latter for the greeting only: see _keep_alive
}
"""What drivers are told unless the URL tells them something else."""


DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
"""The drivers of URLs that name none."""

EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}
"""The extras that bring the drivers."""


def make_engine(source: str, busy_seconds: float) -> Engine:
    """An engine whose connections wait at most ``busy_seconds`` for a lock. Raises ``ConfigurationError`` for a URL that cannot be used."""
    try:
        url = make_url(source)
        if url.drivername in DRIVERS:
            url = url.set(drivername=DRIVERS[url.drivername])
        if url.get_backend_name() != "sqlite":
            return _make_server_engine(url, busy_seconds)
        if url.database in (None, "", ":memory:"):
            engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True)
        else:
            engine = create_engine(url, pool_size=READERS + 1, connect_args={"timeout": busy_seconds}, hide_parameters=True)
    except ModuleNotFoundError as error:
        extra = f": pip install 'conversation-kit[{EXTRAS[error.name]}]'" if error.name in EXTRAS else ""
        raise ConfigurationError(f"The storage URL needs {error.name}, which is not installed{extra}.") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(f"The storage URL cannot be used: {error}") from error
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _make_server_engine(url: URL, busy_seconds: float) -> Engine:
    driver = url.get_driver_name()
    limits = {name: value for name, value in TIMEOUTS.get(driver, {}).items() if name not in url.query}
    engine = create_engine(url, pool_size=READERS + 1, connect_args=limits, hide_parameters=True)
    bound = {"postgresql": _bound_postgres, "mysql": _bound_mysql, "mariadb": _bound_mysql}.get(engine.dialect.name)
    if bound is not None:
        event.listen(engine, "connect", partial(bound, busy_seconds))
    if driver == "pymysql":
        event.listen(engine, "connect", partial(_keep_alive, "read_timeout" in limits))
    return engine


def _bound_postgres(busy_seconds: float, connection: Any, record: Any) -> None:
    """Wait no longer for locks, unless the URL, the role or the server says how long already."""
    cursor = connection.cursor()
    cursor.execute("SHOW lock_timeout")
    if cursor.fetchone()[0] == "0":
        cursor.execute(f"SET lock_timeout = {max(1, round(busy_seconds * 1000))}")
    cursor.close()
    connection.commit()


def _bound_mysql(busy_seconds: float, connection: Any, record: Any) -> None:
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
