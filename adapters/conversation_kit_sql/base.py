"""Methods of a storage on a database, whoever has the transaction: ``SQLStorage`` its own, ``HostTransactionStorage`` the host's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Block, Conversation, Exclusion, Leg, Member, MemberState, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.values.answers import Answer
from conversation_kit_sql.changes import single_writes
from conversation_kit_sql.changes.spending import SpendUnit
from conversation_kit_sql.queries import reads
from conversation_kit_sql.queries.statements import Statements

T = TypeVar("T")
P = ParamSpec("P")


class SQLMethods(ABC):
    """The methods of ``Storage`` but ``open``, ``close`` and ``change``, as one function over a connection each."""

    @abstractmethod
    async def _read(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of ``query``, which takes several statements."""

    async def _glance(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of ``query``, which takes one statement."""
        return await self._read(query, *args, **kwargs)

    @abstractmethod
    async def _write(self, write: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of ``write``, which has happened then."""

    async def spend(self, application_id: str, mark: str, until: datetime, now: datetime) -> bool:
        """See ``Storage.spend``."""
        return await self._write(single_writes.spend, SpendUnit(application_id, mark, until, now))

    async def get_conversation(
        self, access: Access, conversation_id: str, members: int, max_bytes: int | None = None
    ) -> tuple[Conversation, list[Member]]:
        """See ``Storage.get_conversation``."""
        return await self._read(reads.get_conversation, access, conversation_id, members, max_bytes)

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """See ``Storage.list_conversations``."""
        return await self._read(reads.list_conversations, application_id, page, now)

    async def expired_conversations(
        self, application_id: str, now: datetime, limit: int, *, name: str | None = None, user_id: str | None = None
    ) -> list[str]:
        """See ``Storage.expired_conversations``."""
        return await self._glance(reads.expired_conversations, application_id, now, limit, name, user_id)

    async def sequence_numbers(self, application_id: str, conversation_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
        """See ``Storage.sequence_numbers``."""
        return await self._read(reads.sequence_numbers, application_id, conversation_ids, now)

    async def get_user(self, application_id: str, *, id: str | None = None, name: str | None = None) -> User:
        """See ``Storage.get_user``."""
        return await self._glance(reads.get_user, application_id, id, name)

    async def list_users(self, application_id: str, page: Page) -> Slice[User]:
        """See ``Storage.list_users``."""
        return await self._read(reads.list_users, application_id, page)

    async def list_memberships(self, application_id: str, user_id: str, page: Page, now: datetime) -> Slice[tuple[Conversation, Member]]:
        """See ``Storage.list_memberships``."""
        return await self._read(reads.list_memberships, application_id, user_id, page, now)

    async def newest_memberships(
        self, application_id: str, user_id: str, limit: int, now: datetime, conversation_ids: Sequence[str] | None = None
    ) -> Slice[tuple[Conversation, Member]]:
        """See ``Storage.newest_memberships``."""
        return await self._read(reads.newest_memberships, application_id, user_id, limit, now, conversation_ids)

    async def list_members(
        self, access: Access, conversation_id: str, page: Page, states: frozenset[MemberState] | None = None
    ) -> Slice[Member]:
        """See ``Storage.list_members``."""
        return await self._read(reads.list_members, access, conversation_id, page, states)

    async def get_member(self, access: Access, conversation_id: str, member_id: str) -> Member:
        """See ``Storage.get_member``."""
        return await self._read(reads.get_member, access, conversation_id, member_id)

    async def list_exclusions(self, access: Access, conversation_id: str, page: Page) -> Slice[Exclusion]:
        """See ``Storage.list_exclusions``."""
        return await self._read(reads.list_exclusions, access, conversation_id, page)

    async def list_blocks(self, application_id: str, user_id: str, page: Page) -> Slice[Block]:
        """See ``Storage.list_blocks``."""
        return await self._read(reads.list_blocks, application_id, user_id, page)

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``."""
        return await self._read(reads.list_events, access, conversation_id, wanted)

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """See ``Storage.get_event``."""
        return await self._read(reads.get_event, access, conversation_id, event_id)

    async def get_answer(self, application_id: str, mark: str, now: datetime) -> Answer | None:
        """See ``Storage.get_answer``."""
        return await self._glance(reads.get_answer, application_id, mark, now)

    async def list_legs(self, application_id: str, page: Page) -> Slice[Leg]:
        """See ``Storage.list_legs``."""
        return await self._read(reads.list_legs, application_id, page)

    async def get_leg(self, application_id: str, leg_id: str) -> Leg:
        """See ``Storage.get_leg``."""
        return await self._glance(reads.get_leg, application_id, leg_id)
