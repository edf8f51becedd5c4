"""Revision that the tables are at: one row in ``<prefix>schema_version``, which is Alembic's version table."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Column, Connection, Executable, MetaData, PrimaryKeyConstraint, String, Table, column, inspect, select, table
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.schema import CreateTable, DropTable

FIRST = "conversation_kit_0001"


class VersionTable:
    """The table ``<prefix>schema_version`` in the database schema ``schema``."""

    def __init__(self, prefix: str = "conversation_kit_", schema: str | None = None) -> None:
        self.prefix = prefix
        self.schema = schema
        name = f"{prefix}schema_version"
        # As Alembic makes it.
        number = Column("version_num", String(32), nullable=False)
        self.table = Table(name, MetaData(schema=schema), number, PrimaryKeyConstraint("version_num", name=f"{name}_pkc"))

    def read(self, connection: Connection) -> str | None:
        """Return the revision that the tables are at; ``None`` if there are none, or somebody was stopped while making them."""
        columns = self._columns(connection)
        if "version_num" in columns:
            return connection.execute(select(self.table.c.version_num)).scalar()
        if "version" in columns:
            # Before there were revisions the table had a number, which was never another than that of the first one.
            old = table(self.table.name, column("version"), schema=self.schema)
            return FIRST if connection.execute(select(old)).scalar() is not None else None
        return None

    def adopt(self, connection: Connection) -> None:
        """Make Alembic's table of the one that was before there were revisions."""
        if "version" in self._columns(connection):
            self.write(connection, self.read(connection))

    def write(self, connection: Connection, revision: str | None) -> None:
        """Say that the tables are at ``revision`` now, or are gone; makes and replaces the table where need be."""
        columns = self._columns(connection)
        if revision is not None and "version_num" in columns:
            connection.execute(self.table.delete())
            connection.execute(self.table.insert(), {"version_num": revision})
            return
        if columns:
            connection.execute(DropTable(self.table))
        if revision is not None:
            connection.execute(CreateTable(self.table))
            connection.execute(self.table.insert(), {"version_num": revision})

    def statements(self, before: str | None, after: str | None) -> Sequence[Executable]:
        """Return the statements of ``write``, for a script that cannot look at what there is."""
        if after is None:
            return [DropTable(self.table)]
        if before is None:
            return [CreateTable(self.table), self.table.insert().values(version_num=after)]
        return [self.table.update().values(version_num=after)]

    def _columns(self, connection: Connection) -> set[str]:
        try:
            return {found["name"] for found in inspect(connection).get_columns(self.table.name, schema=self.schema)}
        except NoSuchTableError:
            return set()
