"""In which transactions of a host the kit can work, and how it begins to write in one on SQLite."""

from __future__ import annotations

from weakref import WeakSet

from sqlalchemy import Connection, Engine, false, inspect
from sqlalchemy.exc import OperationalError

from conversation_kit.domain.errors import ConfigurationError, StorageUnavailable
from conversation_kit_sql.engines import Database
from conversation_kit_sql.tables import Tables

MYSQL = ("mysql", "mariadb")


class Guests:
    """Looks at the connections that a host brings to one set of tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._known: WeakSet[Engine] = WeakSet()

    def admit(self, connection: Connection, home: Database | None) -> None:
        """See that the kit can work in this connection's transaction; ``home`` is the database of the kit's storage.

        Raises ``ConfigurationError``.
        """
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
            self._known.add(connection.engine)
        if _commits_by_itself(connection):
            raise ConfigurationError("The connection is in AUTOCOMMIT, so there is no transaction to share: give kit.using() another one.")
        if connection.dialect.name in MYSQL and connection.get_isolation_level() == "REPEATABLE READ":
            # The members that it reads may be older than the conversation that it locks.
            raise ConfigurationError(
                "A transaction in REPEATABLE READ does not see what others committed since its first read, so the kit cannot decide in it: "
                'make your engine with create_engine(..., isolation_level="READ COMMITTED").'
            )


def _commits_by_itself(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        # Its driver calls it autocommit that it begins no transactions by itself, and then the kit does.
        return False
    dbapi_connection = connection.connection.dbapi_connection
    assert dbapi_connection is not None
    try:
        return bool(connection.dialect.detect_autocommit_setting(dbapi_connection))
    except NotImplementedError:
        return connection.get_isolation_level() == "AUTOCOMMIT"


def begin_to_write(connection: Connection, tables: Tables) -> None:
    """Become the writer of an SQLite file before anything is read, so that what is read is the latest and nobody else can write.

    Python's driver begins a transaction at the first write only, and a savepoint is none for it: then this begins it. One that has begun
    without becoming the writer does so here, unless somebody else has written since it first read.
    """
    if connection.dialect.name != "sqlite":
        return
    if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
        try:
            connection.execute(tables.conversation.delete().where(false()))  # deletes nothing, but is a write
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_BUSY_SNAPSHOT":
                raise StorageUnavailable(
                    "Your transaction has read before somebody else wrote, and SQLite then lets it write no more. Begin it with "
                    "BEGIN IMMEDIATE, or let it write before it reads; see docs/transactions.md."
                ) from error
            raise
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
