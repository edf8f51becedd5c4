"""A host application's own Alembic project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import alembic.config
from sqlalchemy import inspect

from tests.integration.sql.connected import connected

INI = """
[alembic]
script_location = %(here)s/alembic
{separator} = newline
version_locations =
  %(here)s/alembic/versions
  {more}
"""

# The name that releases before 1.16 know.
SEPARATOR = "path_separator" if tuple(map(int, alembic.__version__.split(".")[:2])) >= (1, 16) else "version_path_separator"

ENV = """
from alembic import context
from sqlalchemy import Column, Integer, MetaData, Table, create_engine
from sqlalchemy.pool import NullPool
from conversation_kit_sql import without_kit_tables

metadata = MetaData()
Table("guests", metadata, Column("id", Integer, primary_key=True))
context.config.attributes["conversation_kit"] = {options!r}
if context.is_offline_mode():
    context.configure(url={url!r}, literal_binds=True, dialect_opts={{"paramstyle": "named"}})
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine({url!r}, poolclass=NullPool).connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, {configure})
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
"""

MAKO = """
from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
"""


@dataclass
class Host:
    """A folder as ``alembic init`` makes it."""

    folder: Path
    url: str

    def write(self, *, more: str = "", configure: str = "include_name=without_kit_tables()", **options: str) -> None:
        (self.folder / "alembic" / "versions").mkdir(parents=True, exist_ok=True)
        (self.folder / "alembic.ini").write_text(INI.format(more=more, separator=SEPARATOR))
        (self.folder / "alembic" / "env.py").write_text(ENV.format(url=self.url, configure=configure, options=options))
        (self.folder / "alembic" / "script.py.mako").write_text(MAKO)

    def run(self, command: str) -> None:
        alembic.config.main(argv=["-c", str(self.folder / "alembic.ini"), *command.split()])

    def generated(self, message: str) -> str:
        """The newest revision of that message."""
        (file,) = self.versions.glob(f"*_{message}.py")
        return file.read_text()

    @property
    def versions(self) -> Path:
        return self.folder / "alembic" / "versions"

    def tables(self) -> set[str]:
        with connected(self.url) as connection:
            return set(inspect(connection).get_table_names())
