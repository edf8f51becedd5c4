"""Options of connections to a server, which depend on the driver."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import URL

from conversation_kit_sql.database.dialects.dialect import READERS, EngineOptions

TIMEOUTS: Mapping[str, Mapping[str, Any]] = {
    # Nobody waits for a server that is not there, nor for one that vanished without a word.
    "psycopg": {"connect_timeout": 3, "tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
    "pymysql": {"connect_timeout": 3, "read_timeout": 3},  # the latter for the greeting only, and lifted afterwards
}
"""Options that drivers are given unless the URL says something else."""

ENCODINGS: Mapping[str, Mapping[str, Any]] = {"psycopg": {"client_encoding": "utf8"}, "pymysql": {"charset": "utf8mb4"}}
"""Options that drivers are given whatever the URL says: another encoding could not carry every text."""


def limits_of(url: URL) -> Mapping[str, Any]:
    """Return the time limits of connections to this URL."""
    return {name: value for name, value in TIMEOUTS.get(url.get_driver_name(), {}).items() if name not in url.query}


def server_options(url: URL, *connected: Callable[[Any, Any], None]) -> EngineOptions:
    """Return how an engine is made for a server; ``connected`` are listeners for each connection that was made."""
    encoding = ENCODINGS.get(url.get_driver_name(), {})
    options = {"pool_size": READERS + 1, "connect_args": {**limits_of(url), **encoding}}
    return EngineOptions(options, connected, without=tuple(encoding))


def digest(*parts: str | None) -> bytes:
    """Return eight bytes that name a lock."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
