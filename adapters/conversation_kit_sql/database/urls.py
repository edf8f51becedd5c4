"""Storage URLs as hosts have them, as the kit's own drivers take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from conversation_kit.domain.errors import ConfigurationError

BACKENDS = {"postgres": "postgresql"}
"""Other names of databases, as some hosting services write them."""

DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql", "sqlite": "pysqlite"}
"""The kit's own drivers."""

FOREIGN = frozenset({"asyncpg", "psycopg_async", "aiopg", "aiosqlite", "aiomysql", "asyncmy"})
"""Drivers of asyncio, in whose place the kit's own are used."""

FILES = ("ssl_ca", "ssl_cert", "ssl_key", "sslrootcert", "sslcert", "sslkey", "sslcrl")
"""Options of a URL that name a file."""

YES, NO = ("true", "1", "yes", "on", "required"), ("false", "0", "no", "off", "")


def own_url(source: str | URL) -> URL:
    """Return the URL of the same database for the kit's own driver, unless it names another one that is no asyncio's.

    ``ssl=true`` becomes what the driver calls that. Raises ``ConfigurationError`` for a URL that cannot be used.
    """
    try:
        url = make_url(source)
        backend, _, driver = url.drivername.partition("+")
        backend = BACKENDS.get(backend, backend)
        if backend in DRIVERS and (not driver or driver in FOREIGN):
            url = url.set(drivername=f"{backend}+{DRIVERS[backend]}")
        else:
            url = url.set(drivername=f"{backend}+{driver}" if driver else backend)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(f"The storage URL cannot be used: {error}") from error
    for option in FILES:
        file = url.query.get(option)
        if isinstance(file, str) and file != "system" and not Path(file).is_file():
            raise ConfigurationError(f"The storage URL's {option} names the file {file!r}, which does not exist: correct the path.")
    return url


def shown(url: URL) -> str:
    """Return the URL as a person writes it: without its password, and without the driver if it is the kit's own."""
    backend, _, driver = url.drivername.partition("+")
    return (url.set(drivername=backend) if driver == DRIVERS.get(backend) else url).render_as_string(hide_password=True)


def with_ssl(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return the URL with ``ssl=`` in its driver's words, and what else the driver is to be told. Raises ``ConfigurationError``."""
    asked = url.query.get("ssl")
    if asked is None:
        return url, {}
    word = str(asked).lower()
    plain = url.difference_update_query(["ssl"])
    if url.get_driver_name() == "psycopg":
        mode = "require" if word in YES else "disable" if word in NO else word
        if mode not in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
            raise ConfigurationError(
                f"The storage URL says ssl={asked}: use sslmode=require, verify-full or another of PostgreSQL's modes."
            )
        return plain.update_query_dict({"sslmode": mode}), {}
    if url.get_driver_name() == "pymysql":
        if word in NO:
            return plain, {}
        if word not in YES:
            raise ConfigurationError(f"The storage URL says ssl={asked}: use ssl=true, or ssl_ca=FILE to check the server's certificate.")
        # With ssl_ca the driver checks the certificate. An empty value would not switch encryption on.
        return plain, {} if "ssl_ca" in url.query else {"ssl": {"check_hostname": False}}
    return url, {}
