"""Things that all revisions share: whose tables they change, where they say that they ran, and the column types of old.

A revision runs in a migration of ours, whose version table is ``<prefix>schema_version``, or in a host's, which has one of its own. Then it
also writes ours, for that is what a storage looks at when it is opened, and it does nothing where ours says that it ran before.

The types are the dialect's own and not those in ``column_types.py``: a revision makes what it made when it was released, whatever becomes
of the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from alembic import op
from sqlalchemy.types import TypeEngine

from conversation_kit_sql.database.dialects.finding import dialect_for
from conversation_kit_sql.schema.version_table import VersionTable

Work: TypeAlias = Callable[[str, str | None], None]
"""Function that gets the tables' prefix and schema."""

ATTRIBUTE = "conversation_kit"
"""The key of ``config.attributes`` under which a host that runs the revisions puts what it gives to ``SQLStorage`` as well."""


def upgrading(before: str | None, revision: str, work: Work) -> Callable[[], None]:
    """Return a revision's ``upgrade``, which does the work unless it is done, and says so."""

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
    """Return a revision's ``downgrade``, which undoes the work, and says that ``before`` is the revision now."""

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
    """Tell whether Alembic itself writes our version table."""
    context = op.get_context()
    return context.version_table == versions.table.name and context.version_table_schema == versions.schema


def _note_in_script(versions: VersionTable, before: str | None, after: str | None) -> None:
    """Write down the revision for ``alembic upgrade --sql``, which cannot look at the database."""
    for statement in versions.statements(before, after):
        op.execute(statement)


def characters(length: int) -> TypeEngine[Any]:
    """Return the type of a text that is compared by its code points."""
    return dialect_for(op.get_context().dialect).characters(length)


def long_text() -> TypeEngine[Any]:
    """Return the type of a text of any length."""
    return dialect_for(op.get_context().dialect).long_text()
