"""Transactions of a host in which the kit can work."""

from __future__ import annotations

from weakref import WeakSet

from sqlalchemy import Connection, Engine, inspect

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.schema.tables import Tables


class HostChecks:
    """Inspection of the connections that a host brings to one set of tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._known: WeakSet[Engine] = WeakSet()

    def admit(self, connection: Connection, home: Database | None) -> None:
        """See that the kit can work in this connection's transaction; ``home`` is the database of the kit's storage.

        Raises ``ConfigurationError``.
        """
        dialect = dialect_of(connection)
        if home is not None and home.is_shared and connection.engine.pool is home.engine.pool:
            raise ConfigurationError(
                "SQLite in memory is one connection, so the kit's own reads would end your transaction: use a file with kit.using()."
            )
        if connection.engine not in self._known:
            table = self._tables.conversation
            if not inspect(connection).has_table(table.name, schema=table.schema):
                raise ConfigurationError(
                    f"{connection.engine.url!r} has no table {table.name}: give kit.using() a session on the database of the kit's storage."
                )
            dialect.check_encoding(connection)
            self._known.add(connection.engine)
        if dialect.commits_by_itself(connection):
            raise ConfigurationError("The connection is in AUTOCOMMIT, so there is no transaction to share: give kit.using() another one.")
        dialect.check_isolation(connection)
