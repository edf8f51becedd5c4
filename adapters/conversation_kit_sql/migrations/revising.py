"""What all revisions share: whose tables they change, where they say that they ran, and the column types of old.

A revision runs in a migration of ours, whose version table is ``<prefix>schema_version``, or in a host's, which has one of its own. Then it
also writes ours, for that is what a storage looks at when it is opened, and it does nothing where ours says that it ran before.

The types are copies of those in ``tables.py``: a revision makes what it made when it was released, whatever becomes of the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARCHAR
from sqlalchemy.types import TypeEngine

from conversation_kit_sql.version_table import VersionTable

Work: TypeAlias = Callable[[str, str | None], None]
"""Gets the tables' prefix and schema."""

ATTRIBUTE = "conversation_kit"
"""The key of ``config.attributes`` under which a host that runs the revisions puts what it gives to ``SQLStorage`` as well."""


def upgrading(before: str | None, revision: str, work: Work) -> Callable[[], None]:
    """A revision's ``upgrade``: does the work unless it is done, and says so."""

    def upgrade() -> None:
        versions = _version_table()
        if _is_ours(versions):
            work(versions.prefix, versions.schema)
        elif op.get_context().as_sql:
            work(versions.prefix, versions.schema)
            _note_in_script(versions, before, revision)
        else:
            found = versions.read(op.get_bind())
            if found is None or found < revision:
                work(versions.prefix, versions.schema)
                versions.write(op.get_bind(), revision)

    return upgrade


def downgrading(before: str | None, revision: str, work: Work) -> Callable[[], None]:
    """A revision's ``downgrade``: undoes the work, and says that ``before`` is what there is now."""

    def downgrade() -> None:
        versions = _version_table()
        work(versions.prefix, versions.schema)
        if _is_ours(versions):
            return
        if op.get_context().as_sql:
            _note_in_script(versions, revision, before)
        else:
            versions.write(op.get_bind(), before)

    return downgrade


def _version_table() -> VersionTable:
    config = op.get_context().config
    return VersionTable(**(config.attributes.get(ATTRIBUTE, {}) if config is not None else {}))


def _is_ours(versions: VersionTable) -> bool:
    """Whether Alembic itself writes our version table."""
    context = op.get_context()
    return context.version_table == versions.table.name and context.version_table_schema == versions.schema


def _note_in_script(versions: VersionTable, before: str | None, after: str | None) -> None:
    """The same for ``alembic upgrade --sql``, which cannot look at the database."""
    for statement in versions.statements(before, after):
        op.execute(statement)


def characters(length: int) -> TypeEngine[Any]:
    """Text that is compared by its code points."""
    dialect = op.get_context().dialect
    if dialect.name == "postgresql":
        return sa.String(length, collation="C")
    if collation := _mysql_collation(dialect):
        return VARCHAR(length, charset="utf8mb4", collation=collation)
    return sa.String(length)


def long_text() -> TypeEngine[Any]:
    """Text of any length."""
    if collation := _mysql_collation(op.get_context().dialect):
        return MEDIUMTEXT(charset="utf8mb4", collation=collation)
    return sa.Text()


def _mysql_collation(dialect: sa.Dialect) -> str | None:
    if dialect.name not in ("mysql", "mariadb"):
        return None
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
