"""SQLStorage: the ``Storage`` port on a relational database."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from conversation_kit import forks
from conversation_kit.domain.errors import ConfigurationError, RequestError
from conversation_kit.domain.events import EventPage
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.ports import Capabilities, HostTransaction, Migration, Publish, Reading, Taking, Within
from conversation_kit_sql.base import SQLMethods
from conversation_kit_sql.changes import single_writes
from conversation_kit_sql.changes.apply import ChangeUnit
from conversation_kit_sql.changes.group_commit import Commits, WorkUnit
from conversation_kit_sql.changes.indirect import resolved
from conversation_kit_sql.changes.metering import MeterUnit
from conversation_kit_sql.changes.removals import Removals
from conversation_kit_sql.changes.spending import SpendUnit
from conversation_kit_sql.changes.within import HasCompany, accompany, unaccompanied
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.database.engine import EngineSource, is_in_memory, url_of
from conversation_kit_sql.database.opening_errors import opening
from conversation_kit_sql.host.after_commit import SignalSender
from conversation_kit_sql.host.checks import HostChecks
from conversation_kit_sql.host.sessions import way_to
from conversation_kit_sql.host.storage import HostTransactionStorage
from conversation_kit_sql.machinery import FAST, PLAIN
from conversation_kit_sql.queries import reads
from conversation_kit_sql.queries.event_pages import PageRead
from conversation_kit_sql.queries.statements import Statements
from conversation_kit_sql.schema.tables import make_tables
from conversation_kit_sql.schema.upgrade import Schema
from conversation_kit_sql.workers.executor import Executor, Question, Read

T = TypeVar("T")
P = ParamSpec("P")


class SQLStorage(SQLMethods):
    """Storage in a relational database.

    ``source`` is an SQLAlchemy URL, an ``Engine``, or a callable that makes one; an engine that was given is used and never disposed. Of an
    ``AsyncEngine``, and of a URL that names a driver of asyncio, the same database is used with the kit's own driver.
    Tables have names that start with ``prefix`` and lie in the database schema ``schema``. With ``create_schema`` they are created when
    missing, else their absence is a ``ConfigurationError``; so are tables of an older revision, until somebody awaits ``migrate``.
    ``busy_seconds`` is how long a statement waits for a lock before it is ``StorageUnavailable``, except over an engine that was given.
    With ``plain`` it does without what makes it fast: every write has a transaction of its own, nothing is remembered, and SQLAlchemy runs
    every statement.
    """

    def __init__(
        self,
        source: EngineSource,
        *,
        prefix: str = "conversation_kit_",
        schema: str | None = None,
        create_schema: bool = True,
        busy_seconds: float = 5.0,
        plain: bool = False,
    ) -> None:
        self._machinery = PLAIN if plain else FAST
        self._source = source
        self._create_schema = create_schema
        self._busy_seconds = busy_seconds
        self._tables = make_tables(prefix, schema)
        self._schema = Schema(self._tables, prefix, schema)
        self._statements = Statements(self._tables)
        self._host_checks = HostChecks(self._tables)
        self._database: Database | None = None
        self._executor: Executor[ChangeUnit | WorkUnit | SpendUnit | MeterUnit] | None = None
        self._removals: Removals
        self._commits: Commits
        self._memory = self._machinery.make_page_cache()
        forks.watch(self, before=SQLStorage._rest, in_parent=SQLStorage._go_on, in_child=SQLStorage._begin_anew)

    def _new_database(self) -> Database:
        return Database(self._source, busy_seconds=self._busy_seconds, prepare=self._machinery.prepare)

    def _rest(self) -> None:
        if self._database is not None:
            self._database.rest()

    def _go_on(self) -> None:
        if self._database is not None:
            self._database.go_on()

    def _begin_anew(self) -> None:
        """Close in a forked process without touching what is the parent's. Data in memory are copied by the fork, and stay."""
        database, self._executor = self._database, None
        if database is not None and database.is_shared:
            database.go_on()
        elif database is not None:
            self._database = None
            database.abandon()

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities of the database: SQLite in memory is one process's and gone with it."""
        kept = not is_in_memory(self._source)
        return Capabilities(durable=kept, several_processes=kept, transactions=True)

    @property
    def url(self) -> str | None:
        """URL of the database, password included; ``None`` for a callable that makes an engine."""
        url = url_of(self._source)
        return None if url is None else url.render_as_string(hide_password=False)

    def stats(self) -> dict[str, int]:
        """See ``Observable.stats``: ``reads`` and ``writes`` that wait; a group that is under way counts as one."""
        executor = self._executor
        return {"reads": 0, "writes": 0} if executor is None else executor.stats()

    async def open(self) -> None:
        """Connect, and create or check the schema. Raises ``ConfigurationError`` or ``StorageUnavailable``."""
        if self._executor is not None:
            return
        database = self._database or self._new_database()
        try:
            await anyio.to_thread.run_sync(self._prepare_schema, database)
        except BaseException:
            database.dispose()
            raise
        if self._executor is not None:
            database.dispose()  # somebody else opened meanwhile
            return
        self._database = database
        self._removals = Removals(self._tables, database)
        self._commits = Commits(self._statements, self._removals, database, remembers_scenes=self._machinery.remembers_scenes)
        self._executor = Executor(database, self._commits.commit, self._removals, self._machinery.grouping)
        if database.is_shared:
            # Data in memory stay as long as this object does.
            weakref.finalize(self, database.dispose)

    async def close(self) -> None:
        """Close what ``open`` opened; a host's engine is left as it is."""
        database, executor = self._database, self._executor
        self._executor = None
        if executor is not None:
            executor.stop()
        if database is not None and not database.is_shared:
            self._database = None
            await anyio.to_thread.run_sync(database.dispose)

    async def migrate(self) -> Migration:
        """Make the tables, or bring them to the newest revision; see ``Migrates.migrate``."""
        database = self._database or self._new_database()
        try:
            return await anyio.to_thread.run_sync(self._migrate_schema, database)
        finally:
            if database is not self._database:
                database.dispose()

    async def epoch(self) -> str:
        """See ``Restorable.epoch``."""
        return await self._glance(reads.epoch)

    async def renew_epoch(self) -> str:
        """See ``Restorable.renew_epoch``."""
        return await self._write(single_writes.renew_epoch)

    def _prepare_schema(self, database: Database) -> None:
        with opening(database.engine.url):
            database.try_out()
            self._schema.prepare(database, create=self._create_schema)
            database.try_to_write(self._tables.conversation)

    def _migrate_schema(self, database: Database) -> Migration:
        with opening(database.engine.url):
            database.try_out()
            return self._schema.migrate(database)

    @property
    def _run(self) -> Executor[ChangeUnit | WorkUnit | SpendUnit | MeterUnit]:
        if self._executor is None:
            raise ConfigurationError("The storage is not open: await storage.open() first.")
        return self._executor

    @property
    def _joins_pages(self) -> bool:
        return self._database is not None and self._database.dialect.joins_texts

    async def _read(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read in several statements that see one instant."""
        read = Read(lambda connection: query(connection, self._statements, *args, **kwargs), snapshot=True)
        result: T = await self._run.read(read)
        return result

    async def _glance(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read in one statement."""
        read = Read(lambda connection: query(connection, self._statements, *args, **kwargs), snapshot=False)
        result: T = await self._run.read(read)
        return result

    async def _write(self, write: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self._run.writes.join(WorkUnit(lambda connection: write(connection, self._statements, *args, **kwargs)))
        return result

    def change(
        self,
        application_id: str,
        conversation_id: str | None,
        needs: Needs,
        decide: Decide[T],
        *,
        within: Within | None = None,
    ) -> Coroutine[Any, Any, Changes[T]]:
        """See ``Storage.change``. A change to which ``within`` adds something leaves its group for a transaction of its own."""
        if needs.user_of is not None or needs.conversation_of is not None:
            change = partial(self._change, application_id, within)
            return resolved(self._glance, change, application_id, conversation_id, needs, decide)
        if within is not None:
            return self._change(application_id, within, conversation_id, needs, decide)
        return self._run.writes.join(ChangeUnit(application_id, conversation_id, needs, decide))

    async def _change(
        self, application_id: str, within: Within | None, conversation_id: str | None, needs: Needs, decide: Decide[T]
    ) -> Changes[T]:
        grouped = decide if within is None else unaccompanied(decide, within)
        try:
            changes: Changes[T] = await self._run.writes.join(ChangeUnit(application_id, conversation_id, needs, grouped))
        except HasCompany:
            work = partial(self._change_accompanied, self._run, ChangeUnit(application_id, conversation_id, needs, decide), within)
            changes = await self._run.writes.join(WorkUnit(work, (application_id, conversation_id)))
        return changes

    def _change_accompanied(self, executor: Executor[Any], unit: ChangeUnit, within: Within | None, connection: Connection) -> Changes[Any]:
        changes = single_writes.change(connection, self._statements, unit)
        with executor.writes.accompanied():
            accompany(connection, within, changes)
        return changes

    async def spend(self, application_id: str, mark: str, until: datetime, now: datetime) -> bool:
        """See ``Storage.spend``; those that wait go into one transaction."""
        first: bool = await self._run.writes.join(SpendUnit(application_id, mark, until, now))
        return first

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """See ``Meter.take``; those that wait go into one transaction."""
        readings: Sequence[Reading] = await self._run.writes.join(MeterUnit(takings))
        return readings

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``; where a page is one statement, pages that are asked for at once are one too."""
        if not self._joins_pages:
            return await super().list_events(access, conversation_id, wanted)
        page: EventPage | None = await self._run.read(Question(self._read_pages, PageRead(access, conversation_id, wanted)))
        if page is None:
            return await self._read(reads.list_long_events, access, conversation_id, wanted)
        return page

    def _read_pages(self, connection: Connection, reads: Sequence[PageRead]) -> Sequence[EventPage | RequestError | None]:
        return self._statements.pages.read(connection, reads, self._memory)

    @asynccontextmanager
    async def in_transaction(self, session: Any, publish: Publish) -> AsyncIterator[HostTransaction]:
        """See ``TransactionalStorage.in_transaction``; takes what SQLAlchemy calls a session or a connection, sync or async."""
        sender = SignalSender(publish)
        admit = partial(self._host_checks.admit, home=self._database)
        storage = HostTransactionStorage(way_to(session), admit, self._statements, sender, self.take)
        try:
            yield HostTransaction(storage, storage.announce)
        finally:
            storage.leave()
            await sender.returned()
