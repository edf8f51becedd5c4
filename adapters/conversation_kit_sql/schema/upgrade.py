"""The schema: checked when a storage is opened, made where there is none, brought to the newest revision when somebody asks for that."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import ProgrammingError

from conversation_kit import forks
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.ports import Migration
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.database.urls import shown
from conversation_kit_sql.schema.lock import alone
from conversation_kit_sql.schema.tables import SCHEMA_VERSION, Tables, make_tables
from conversation_kit_sql.schema.version_table import VersionTable

SCRIPTS = files("conversation_kit_sql") / "schema" / "migrations"
"""Place of the revisions, which is no folder if the package is in a zip file."""

_ALEMBIC = forks.lock()
"""Alembic's ``op`` is one for the whole process."""


class Schema:
    """The schema of these tables. Methods block; call them in a worker thread."""

    def __init__(self, tables: Tables, prefix: str, schema: str | None) -> None:
        self._tables = tables.metadata.sorted_tables
        self._metadata = tables.metadata
        self._prefix = prefix
        self._schema = schema
        self._version = VersionTable(prefix, schema)

    def prepare(self, database: Database, *, create: bool) -> None:
        """See that the tables are there and of the newest revision; with ``create`` make them where there are none.

        Raises ``ConfigurationError`` that says what to run.
        """
        with database.reading() as connection:
            version = self._read(connection)
        if version is None:
            if not create:
                raise ConfigurationError(
                    f"There are no tables {self._prefix}*: {self._advice(database.engine)}, or open it once with create_schema=True."
                )
            with self._changing(database) as connection:
                version = self._read(connection)
                if version is None:
                    self._create(connection)
                    version = SCHEMA_VERSION
        self._refuse_newer(version)
        if version < SCHEMA_VERSION:
            what = f"The tables {self._prefix}* are at {version}, this conversation-kit needs {SCHEMA_VERSION}"
            raise ConfigurationError(f"{what}: {self._advice(database.engine)}.")

    def migrate(self, database: Database) -> Migration:
        """Bring the tables to the newest revision in a transaction of its own. Raises ``ConfigurationError``."""
        with self._changing(database) as connection:
            return self._migrate(connection)

    def migrate_over(self, connection: Connection) -> Migration:
        """Bring the tables to the newest revision within the transaction of ``connection``, which somebody else commits."""
        with _told(), alone(connection, self._prefix, self._schema):
            return self._migrate(connection)

    def _migrate(self, connection: Connection) -> Migration:
        before = self._read(connection)
        if before is None:
            self._create(connection)
            return Migration(None, SCHEMA_VERSION)
        self._refuse_newer(before)
        self._version.adopt(connection)
        if before < SCHEMA_VERSION:
            run_revisions(connection, self._prefix, self._schema, SCHEMA_VERSION)
        return Migration(before, SCHEMA_VERSION)

    def _read(self, connection: Connection) -> str | None:
        if self._schema is not None and self._schema not in inspect(connection).get_schema_names():
            raise ConfigurationError(f"There is no database schema {self._schema!r}: create it first, or give another one.")
        return self._version.read(connection)

    def _create(self, connection: Connection) -> None:
        """Make the tables, and at last the row that says that they are there: it is missing until all of them are."""
        existing = set(inspect(connection).get_table_names(schema=self._schema))
        begun = [table for table in self._tables if table.name in existing]
        if any(connection.execute(select(table).limit(1)).first() is not None for table in begun):
            raise ConfigurationError(
                f"There are tables {self._prefix}* with data in them, but {self._version.table.name} does not say which revision they are: "
                "restore it from where they are from."
            )
        self._metadata.create_all(connection)
        for table in begun:
            # Somebody was stopped here: MariaDB keeps each statement for itself.
            for index in table.indexes:
                index.create(connection, checkfirst=True)
        self._version.write(connection, SCHEMA_VERSION)

    def _refuse_newer(self, version: str) -> None:
        if version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"The tables {self._prefix}* are at {version}, this conversation-kit knows {SCHEMA_VERSION}: upgrade conversation-kit."
            )

    def _advice(self, engine: Engine) -> str:
        command = ["conversation-kit", "migrate", "--storage", shown(engine.url)]
        if self._prefix != VersionTable().prefix:
            command += ["--prefix", self._prefix]
        if self._schema is not None:
            command += ["--schema", self._schema]
        return f"run `{shlex.join(command)}`, or `await kit.migrate()`"

    @contextmanager
    def _changing(self, database: Database) -> Iterator[Connection]:
        with _told(), database.writing() as connection:
            # Else the transaction would see the tables as they were when it began to wait for the lock.
            dialect_of(connection).see_latest(connection)
            with alone(connection, self._prefix, self._schema):
                yield connection


def migrate(connection: Connection, *, prefix: str = "conversation_kit_", schema: str | None = None) -> Migration:
    """Make the tables, or bring them to the newest revision, over a connection of the host's: ``migrate(op.get_bind())``.

    It commits nothing itself, except on MariaDB and MySQL, where every such statement is committed as it is. Returns from which revision to
    which. Raises ``ConfigurationError``.
    """
    return Schema(make_tables(prefix, schema), prefix, schema).migrate_over(connection)


@contextmanager
def _told() -> Iterator[None]:
    """Say what the database refuses, such as for want of a privilege."""
    try:
        yield
    except ProgrammingError as error:
        raise ConfigurationError(f"The database refuses to make the tables: {str(error.orig).splitlines()[0]}") from error


def run_revisions(connection: Connection, prefix: str, schema: str | None, to: str) -> None:
    """Run the revisions that come after the one that the tables are at, up to ``to``.

    A host's own migration may be under way, and goes on afterwards. Raises ``ConfigurationError``.
    """
    import alembic.op  # here, for it takes a while and opening needs none of it
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from conversation_kit_sql.schema.migrations.revising import ATTRIBUTE

    config = Config()
    config.attributes[ATTRIBUTE] = {"prefix": prefix, "schema": schema}
    versions = VersionTable(prefix, schema)
    with _ALEMBIC, _revisions() as folder:
        outer = getattr(alembic.op, "_proxy", None)
        try:
            scripts = ScriptDirectory(folder)
            # Not entered, which would take the place of a host's that is under way.
            environment = EnvironmentContext(config, scripts, fn=lambda revision, context: scripts._upgrade_revs(to, revision))
            environment.configure(connection=connection, version_table=versions.table.name, version_table_schema=schema)
            environment.run_migrations()
        except CommandError as error:
            raise ConfigurationError(f"The tables {prefix}* cannot be brought to {to}: {error}") from error
        finally:
            if outer is not None:
                outer._install_proxy()


@contextmanager
def _revisions() -> Iterator[str]:
    """Give the folder of the revisions, a temporary copy if need be, for Alembic reads folders only."""
    if isinstance(SCRIPTS, Path):
        yield str(SCRIPTS)
        return
    with TemporaryDirectory(prefix="conversation-kit-") as copy:
        versions = Path(copy, "versions")
        versions.mkdir()
        for file in (SCRIPTS / "versions").iterdir():
            if file.name.endswith(".py"):
                (versions / file.name).write_bytes(file.read_bytes())
        yield copy
