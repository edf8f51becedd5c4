"""Engines of our own, and what each of their connections is set to."""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql.database.dialects.finding import dialect_at
from conversation_kit_sql.database.urls import own_url, with_ssl

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
