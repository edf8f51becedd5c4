"""The one place that asks which database it is."""

from __future__ import annotations

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, Select, Table
from sqlalchemy.sql.compiler import SQLCompiler

from conversation_kit_sql.database.dialects.dialect import Dialect
from conversation_kit_sql.database.dialects.mysql import MariaDB, MySQL
from conversation_kit_sql.database.dialects.postgres import PostgreSQL
from conversation_kit_sql.database.dialects.sqlite import SQLite

OTHER = Dialect()
MARIADB = MariaDB()
DIALECTS = {dialect.name: dialect for dialect in (SQLite(), PostgreSQL(), MySQL(), MARIADB)}


def dialect_of(source: Engine | Connection | SQLCompiler) -> Dialect:
    """Return the answers of the database behind an engine, a connection or a statement that is compiled.

    An engine that has not connected yet takes a MariaDB at a MySQL URL for a MySQL: where these two differ, ask with a connection.
    """
    return dialect_for(source.dialect)


def dialect_for(dialect: sqlalchemy.Dialect) -> Dialect:
    """Return the answers of the database for which SQLAlchemy has this dialect."""
    return MARIADB if getattr(dialect, "is_mariadb", False) else DIALECTS.get(dialect.name, OTHER)


def dialect_at(url: URL) -> Dialect:
    """Return the answers of the database of a URL; MariaDB may also be at one of MySQL."""
    return DIALECTS.get(url.get_backend_name(), OTHER)


def with_index(query: Select[tuple[object, ...]], table: Table, index: str) -> Select[tuple[object, ...]]:
    """Make ``query`` use an index of ``table``, on the databases that would rather not."""
    for dialect in DIALECTS.values():
        if dialect.index_hint is not None:
            query = query.with_hint(table, dialect.index_hint.format(index), dialect.name)
    return query
