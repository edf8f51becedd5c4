"""SQLStorage: the ``Storage`` port on a relational database."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Insert, select
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import ConfigurationError, ConversationKitError, StorageUnavailable, duplicate_name
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Conversation, Leg, Member, MemberState, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.ports import Migration
from conversation_kit_sql import queries
from conversation_kit_sql.batch import ChangeUnit, Outcome, carry_out
from conversation_kit_sql.engines import Database, EngineSource
from conversation_kit_sql.lanes import Ticket
from conversation_kit_sql.pages import DATABASES, PageRead
from conversation_kit_sql.retries import patiently
from conversation_kit_sql.rows import to_row, to_update
from conversation_kit_sql.runner import UNAVAILABLE, Question, Read, Runner, unavailable
from conversation_kit_sql.schema import Schema
from conversation_kit_sql.statements import Statements
from conversation_kit_sql.tables import make_tables

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """A write that is not a change of a conversation."""

    work: Callable[[Connection], Any]


class SQLStorage:
    """Keeps everything in a relational database.

    ``source`` is an SQLAlchemy URL, an ``Engine``, or a callable that makes one; an engine that was given is used and never disposed.
    Tables have names that start with ``prefix`` and lie in the database schema ``schema``. With ``create_schema`` they are created when
    missing, else their absence is a ``ConfigurationError``; so are tables of an older revision, until somebody awaits ``migrate``.
    ``busy_seconds`` is how long a write waits for another process's lock on an SQLite file before it is ``StorageUnavailable``.
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
        self._database: Database | None = None
        self._runner: Runner[ChangeUnit | WorkUnit] | None = None

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
        database, self._runner = self._database, None
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

    async def _write(self, work: Callable[[Connection], T]) -> T:
        result: T = await self._run.write(WorkUnit(work))
        return result

    def _commit(self, batch: Sequence[Ticket[Any]]) -> None:
        """Carry out a batch: all changes in one transaction, then each other write in its own."""
        changes = [ticket for ticket in batch if isinstance(ticket.unit, ChangeUnit)]
        if changes:
            self._commit_changes(changes)
        for ticket in batch:
            if isinstance(ticket.unit, WorkUnit):
                self._commit_work(ticket, ticket.unit.work)

    def _commit_changes(self, tickets: Sequence[Ticket[Any]]) -> None:
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
            if len(tickets) == 1 or decided or isinstance(error, UNAVAILABLE):
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

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Changes[T]:
        """See ``Storage.change``."""
        changes: Changes[T] = await self._run.write(ChangeUnit(application_id, conversation_id, needs, decide))
        return changes

    async def create_conversation(self, conversation: Conversation) -> None:
        """See ``Storage.create_conversation``."""
        await self._insert(conversation, self._statements.insert_conversation, "conversation")

    async def create_user(self, user: User) -> None:
        """See ``Storage.create_user``."""
        await self._insert(user, self._statements.insert_user, "user")

    async def _insert(self, model: Conversation | User, statement: Insert, noun: str) -> None:
        def work(connection: Connection) -> None:
            try:
                connection.execute(statement, to_row(model))
            except IntegrityError as error:
                raise duplicate_name(noun, model.name) from error

        await self._write(work)

    async def update_user(self, application_id: str, user_id: str, update: Callable[[User], User]) -> User:
        """See ``Storage.update_user``."""

        def work(connection: Connection) -> User:
            old = queries.hold_user(connection, self._statements, application_id, user_id)
            user = update(old)
            try:
                connection.execute(self._statements.update_user, to_update(user, "id"))
            except IntegrityError as error:
                raise duplicate_name("user", user.name) from error
            if user.name != old.name:
                parameters = {"a": application_id, "user": user_id, "name": user.name}
                connection.execute(self._statements.rename_memberships, parameters)
            return user

        return await self._write(work)

    async def delete_user(self, application_id: str, user_id: str) -> bool:
        """See ``Storage.delete_user``."""
        member = self._tables.member

        def work(connection: Connection) -> bool:
            queries.hold_user(connection, self._statements, application_id, user_id)
            active = select(member.c.id).where(
                member.c.application_id == application_id, member.c.user_id == user_id, member.c.state != MemberState.LEFT
            )
            if connection.execute(active.limit(1)).first() is not None:
                return False
            connection.execute(self._statements.delete_user, {"a": application_id, "id": user_id})
            return True

        return await self._write(work)

    async def get_conversation(self, access: Access, conversation_id: str, members: int) -> tuple[Conversation, list[Member]]:
        """See ``Storage.get_conversation``."""
        return await self._read(queries.get_conversation, access, conversation_id, members)

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """See ``Storage.list_conversations``."""
        return await self._read(queries.list_conversations, application_id, page, now)

    async def expired_conversations(self, application_id: str, now: datetime, limit: int) -> list[str]:
        """See ``Storage.expired_conversations``."""
        return await self._glance(queries.expired_conversations, application_id, now, limit)

    async def get_user(self, application_id: str, *, id: str | None = None, name: str | None = None) -> User:
        """See ``Storage.get_user``."""
        return await self._glance(queries.get_user, application_id, id, name)

    async def list_users(self, application_id: str, page: Page) -> Slice[User]:
        """See ``Storage.list_users``."""
        return await self._read(queries.list_users, application_id, page)

    async def list_memberships(self, application_id: str, user_id: str, page: Page, now: datetime) -> Slice[tuple[Conversation, Member]]:
        """See ``Storage.list_memberships``."""
        return await self._read(queries.list_memberships, application_id, user_id, page, now)

    async def list_members(self, access: Access, conversation_id: str, page: Page) -> Slice[Member]:
        """See ``Storage.list_members``."""
        return await self._read(queries.list_members, access, conversation_id, page)

    async def get_member(self, access: Access, conversation_id: str, member_id: str) -> Member:
        """See ``Storage.get_member``."""
        return await self._read(queries.get_member, access, conversation_id, member_id)

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``."""
        if not self._joins_pages:
            return await self._read(queries.list_events, access, conversation_id, wanted)
        page: EventPage = await self._run.read(Question(self._statements.pages.read, PageRead(access, conversation_id, wanted)))
        return page

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """See ``Storage.get_event``."""
        return await self._read(queries.get_event, access, conversation_id, event_id)

    async def list_legs(self, application_id: str, page: Page) -> Slice[Leg]:
        """See ``Storage.list_legs``."""
        return await self._read(queries.list_legs, application_id, page)

    async def get_leg(self, application_id: str, leg_id: str) -> Leg:
        """See ``Storage.get_leg``."""
        return await self._glance(queries.get_leg, application_id, leg_id)


def _settle_failure(ticket: Ticket[Any], error: Exception) -> None:
    if isinstance(error, ConversationKitError):
        ticket.fail(error)
        return
    try:
        with unavailable():
            raise error
    except Exception as told:
        ticket.fail(told)
