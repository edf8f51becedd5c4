"""Engines: those that a host gives, and those of our own, with what each of their connections is set to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql.database.dialects import sqlite
from conversation_kit_sql.database.dialects.finding import dialect_at
from conversation_kit_sql.database.urls import own_url, with_ssl

EngineSource: TypeAlias = str | URL | Engine | Callable[[], Engine]
"""A URL, or an engine. Of an ``AsyncEngine`` the URL is taken, because its connections are asyncio's."""

EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}
"""The extras that bring the drivers."""


def make_engine(source: str | URL, busy_seconds: float) -> Engine:
    """Make an engine whose connections wait at most ``busy_seconds`` for a lock. Raises ``ConfigurationError`` for an unusable URL."""
    try:
        url, arguments = with_ssl(own_url(source))
        asked = dialect_at(url).engine_options(url, busy_seconds)
        options = {**asked.options, "connect_args": {**asked.options.get("connect_args", {}), **arguments}}
        engine = create_engine(url.difference_update_query(asked.without), hide_parameters=True, **options)
    except ModuleNotFoundError as error:
        extra = f": pip install 'conversation-kit[{EXTRAS[error.name]}]'" if error.name in EXTRAS else ""
        raise ConfigurationError(f"The storage URL needs {error.name}, which is not installed{extra}.") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(f"The storage URL cannot be used: {error}") from error
    for connecting in asked.connecting:
        event.listen(engine, "do_connect", connecting)
    for connected in asked.connected:
        event.listen(engine, "connect", connected)
    return engine


def is_in_memory(source: EngineSource) -> bool:
    """Tell whether it is SQLite in memory. A function that makes an engine is assumed to make none in memory."""
    url = url_of(source)
    return url is not None and dialect_at(url).is_embedded and sqlite.is_in_memory(url)


def url_of(source: EngineSource) -> URL | None:
    """Return the URL for the kit's own driver; ``None`` for a function, and for a URL that cannot be used, which opening tells."""
    given = source if isinstance(source, (str, URL)) else getattr(source, "url", None)
    if not isinstance(given, (str, URL)):
        return None
    try:
        return own_url(given)
    except ConfigurationError:
        return None


def engine_of(source: EngineSource, busy_seconds: float) -> tuple[Engine, bool]:
    """Return the engine, and whether it is ours to dispose. Raises ``ConfigurationError`` for a source that cannot be used."""
    made: Any = source() if callable(source) and not hasattr(source, "url") else source
    if isinstance(made, Engine):
        return made, False
    if hasattr(made, "sync_engine"):
        made = made.url
        if is_in_memory(made):
            raise ConfigurationError("An AsyncEngine on SQLite in memory has data that nobody else can see: use a file, or sqlite:// here.")
    if not isinstance(made, (str, URL)):
        raise ConfigurationError(f"SQLStorage takes a URL, an Engine, an AsyncEngine or a function that makes an engine, and not {made!r}.")
    return make_engine(made, busy_seconds), True
