"""Filter of names for hosts that have Alembic migrations of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from conversation_kit_sql.schema.tables import make_tables
from conversation_kit_sql.schema.version_table import VersionTable

IncludeName: TypeAlias = Callable[[str | None, Any, Any], bool]


def without_kit_tables(
    *, prefix: str = "conversation_kit_", schema: str | None = None, include_name: IncludeName | None = None
) -> IncludeName:
    """Return a filter for ``context.configure(include_name=without_kit_tables())``: all names but those of the kit's tables.

    Alembic's autogenerate then does not see them; otherwise it proposes to drop them, since the host's metadata do not have them.
    ``include_name`` is a filter of the host's own, asked for all other names.
    """
    ours = {table.name for table in make_tables(prefix, schema).metadata.tables.values()} | {VersionTable(prefix, schema).table.name}

    def include(name: str | None, type_: Any, parent_names: Any) -> bool:
        # Alembic calls the default schema None, however it was named to the storage.
        if type_ == "table" and name in ours and parent_names.get("schema_name") in (schema, None):
            return False
        return include_name is None or include_name(name, type_, parent_names)

    return include
