"""SQLStorage: the ``Storage`` port on a relational database."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from conversation_kit.domain.errors import ConfigurationError, ConversationKitError, RequestError, StorageUnavailable
from conversation_kit.domain.events import EventPage
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.ports import Capabilities, Joined, Migration, Publish, Within
from conversation_kit_sql import writes
from conversation_kit_sql.batch import ChangeUnit, Outcome, carry_out
from conversation_kit_sql.engines import Database, EngineSource, is_in_memory
from conversation_kit_sql.failures import UNAVAILABLE, is_held, unavailable
from conversation_kit_sql.guests import Guests
from conversation_kit_sql.held import Held
from conversation_kit_sql.joined import JoinedStorage
from conversation_kit_sql.lanes import Ticket
from conversation_kit_sql.methods import SQLMethods
from conversation_kit_sql.outbox import Courier
from conversation_kit_sql.page_memory import PageMemory
from conversation_kit_sql.pages import DATABASES, PageRead
from conversation_kit_sql.retries import patiently
from conversation_kit_sql.runner import Question, Read, Runner
from conversation_kit_sql.schema import Schema
from conversation_kit_sql.sessions import way_to
from conversation_kit_sql.statements import Statements
from conversation_kit_sql.tables import make_tables
from conversation_kit_sql.within import HasCompany, accompany, unaccompanied

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """A write that is not a change of a conversation."""

    work: Callable[[Connection], Any]


class SQLStorage(SQLMethods):
    """Keeps everything in a relational database.

    ``source`` is an SQLAlchemy URL, an ``Engine``, or a callable that makes one; an engine that was given is used and never disposed.
    Tables have names that start with ``prefix`` and lie in the database schema ``schema``. With ``create_schema`` they are created when
    missing, else their absence is a ``ConfigurationError``; so are tables of an older revision, until somebody awaits ``migrate``.
    ``busy_seconds`` is how long a statement waits for a lock before it is ``StorageUnavailable``, except over an engine that was given.
    """

    def __init__(
        self,
        source: EngineSource,
        *,
        prefix: str = "conversation_kit_",
        schema: str | None = None,
        create_schema: bool = True,
        busy_seconds: float = 5.0,
    ) -> None:
        self._source = source
        self._create_schema = create_schema
        self._busy_seconds = busy_seconds
        self._tables = make_tables(prefix, schema)
        self._schema = Schema(self._tables, prefix, schema)
        self._statements = Statements(self._tables)
        self._guests = Guests(self._tables)
        self._database: Database | None = None
        self._runner: Runner[ChangeUnit | WorkUnit] | None = None
        self._held = Held(self._statements)
        self._memory = PageMemory()

    @property
    def capabilities(self) -> Capabilities:
        """SQLite in memory is one process's and gone with it."""
        kept = not is_in_memory(self._source)
        return Capabilities(durable=kept, several_processes=kept, transactions=True)

    async def open(self) -> None:
        """Connect, and create or check the schema. Raises ``ConfigurationError`` or ``StorageUnavailable``."""
        if self._runner is not None:
            return
        database = self._database or Database(self._source, busy_seconds=self._busy_seconds)
        try:
            await anyio.to_thread.run_sync(self._prepare_schema, database)
        except BaseException:
            database.dispose()
            raise
        if self._runner is not None:
            database.dispose()  # somebody else opened meanwhile
            return
        self._database, self._runner = database, Runner(database, self._commit)
        if database.is_shared:
            # Data in memory stay as long as this object does.
            weakref.finalize(self, database.dispose)

    async def close(self) -> None:
        """Close what ``open`` opened; a host's engine is left as it is."""
        database, runner = self._database, self._runner
        self._runner = None
        if runner is not None:
            runner.stop()
        if database is not None and not database.is_shared:
            self._database = None
            await anyio.to_thread.run_sync(database.dispose)

    async def migrate(self) -> Migration:
        """Make the tables, or bring them to the newest revision; see ``Migrates.migrate``."""
        database = self._database or Database(self._source, busy_seconds=self._busy_seconds)
        try:
            return await anyio.to_thread.run_sync(self._migrate_schema, database)
        finally:
            if database is not self._database:
                database.dispose()

    def _prepare_schema(self, database: Database) -> None:
        with unavailable():
            self._schema.prepare(database, create=self._create_schema)

    def _migrate_schema(self, database: Database) -> Migration:
        with unavailable():
            return self._schema.migrate(database)

    @property
    def _run(self) -> Runner[ChangeUnit | WorkUnit]:
        if self._runner is None:
            raise ConfigurationError("The storage is not open: await storage.open() first.")
        return self._runner

    @property
    def _joins_pages(self) -> bool:
        return self._database is not None and self._database.engine.dialect.name in DATABASES

    def _writing(self) -> AbstractContextManager[Connection]:
        if self._database is None:
            raise StorageUnavailable("The storage was closed while a write waited: nothing was written.")
        return self._database.writing()

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

    async def _write(
        self, within: Within[T] | None, write: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def work(connection: Connection) -> T:
            result = write(connection, self._statements, *args, **kwargs)
            accompany(connection, within, result)
            return result

        result: T = await self._run.write(WorkUnit(work))
        return result

    async def change(
        self,
        application_id: str,
        conversation_id: str | None,
        needs: Needs,
        decide: Decide[T],
        *,
        within: Within[Changes[T]] | None = None,
    ) -> Changes[T]:
        """See ``Storage.change``. A change to which ``within`` adds something leaves its group for a transaction of its own."""
        grouped = decide if within is None else unaccompanied(decide, within)
        try:
            changes: Changes[T] = await self._run.write(ChangeUnit(application_id, conversation_id, needs, grouped))
        except HasCompany:
            return await self._write(within, writes.change, application_id, conversation_id, needs, decide)
        return changes

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``; where a page is one statement, pages that are asked for at once are one too."""
        if not self._joins_pages:
            return await super().list_events(access, conversation_id, wanted)
        page: EventPage = await self._run.read(Question(self._read_pages, PageRead(access, conversation_id, wanted)))
        return page

    def _read_pages(self, connection: Connection, reads: Sequence[PageRead]) -> Sequence[EventPage | RequestError]:
        return self._statements.pages.read(connection, reads, self._memory)

    @asynccontextmanager
    async def joined(self, session: Any, publish: Publish) -> AsyncIterator[Joined]:
        """See ``TransactionalStorage.joined``; takes what SQLAlchemy calls a session or a connection, sync or async."""
        courier = Courier(publish)
        storage = JoinedStorage(way_to(session), partial(self._guests.admit, home=self._database), self._statements, courier)
        try:
            yield Joined(storage, storage.announce)
        finally:
            storage.leave()
            await courier.returned()

    def _commit(self, batch: Sequence[Ticket[Any]]) -> None:
        """Carry out a batch: all changes in one transaction, then each other write in its own."""
        changes = [ticket for ticket in batch if isinstance(ticket.unit, ChangeUnit)]
        if changes:
            self._commit_changes(changes)
        for ticket in batch:
            if isinstance(ticket.unit, WorkUnit):
                self._commit_work(ticket, ticket.unit.work)

    def _commit_changes(self, tickets: Sequence[Ticket[Any]]) -> None:
        if self._held and self._held.concerns(tickets):
            tickets = self._without_held(tickets)
            if not tickets:
                return
        decided = False

        def attempt() -> list[Outcome]:
            nonlocal decided
            decided = False
            with self._writing() as connection:
                outcomes = carry_out(connection, self._statements, tickets)
                decided = True
            return outcomes

        try:
            outcomes = patiently(attempt, lambda: decided)
        except Exception as error:
            if is_held(error) and not decided and len(free := self._without_held(tickets)) < len(tickets):
                if free:
                    self._commit_changes(free)
            elif len(tickets) == 1 or decided or isinstance(error, UNAVAILABLE):
                # What became of a commit that failed is not known, so nothing is tried twice after it.
                for ticket in tickets:
                    _settle_failure(ticket, error)
            else:
                # One of them is at fault: alone, each gets its own answer.
                for ticket in tickets:
                    self._commit_changes([ticket])
            return
        for ticket, result, failure in outcomes:
            if failure is None:
                ticket.succeed(result)
            else:
                ticket.fail(failure)

    def _without_held(self, tickets: Sequence[Ticket[Any]]) -> Sequence[Ticket[Any]]:
        """Those changes whose conversation nobody else holds; the others have failed."""
        try:
            with self._writing() as connection:
                held = self._held.look(connection, tickets)
        except Exception:
            return tickets  # whoever goes on with them is told the same
        for ticket in held:
            ticket.fail(StorageUnavailable(f"Somebody else has locked the conversation {ticket.unit.conversation_id!r} for too long."))
        return [ticket for ticket in tickets if not ticket.finished]

    def _commit_work(self, ticket: Ticket[Any], work: Callable[[Connection], Any]) -> None:
        decided = False

        def attempt() -> Any:
            nonlocal decided
            decided = False
            with self._writing() as connection:
                result = work(connection)
                decided = True
            return result

        try:
            result = patiently(attempt, lambda: decided)
        except Exception as error:
            _settle_failure(ticket, error)
        else:
            ticket.succeed(result)


def _settle_failure(ticket: Ticket[Any], error: Exception) -> None:
    if isinstance(error, ConversationKitError):
        ticket.fail(error)
        return
    try:
        with unavailable():
            raise error
    except Exception as told:
        ticket.fail(told)
