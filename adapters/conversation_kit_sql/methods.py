"""What a storage on a database answers, whoever has the transaction: ``SQLStorage`` its own, ``JoinedStorage`` the host's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Conversation, Leg, Member, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.ports import Within
from conversation_kit_sql import queries, writes
from conversation_kit_sql.statements import Statements

T = TypeVar("T")
P = ParamSpec("P")


class SQLMethods(ABC):
    """The methods of ``Storage`` but ``open``, ``close`` and ``change``, as one function over a connection each."""

    @abstractmethod
    async def _read(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``query`` finds in several statements."""

    async def _glance(self, query: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``query`` finds in one statement."""
        return await self._read(query, *args, **kwargs)

    @abstractmethod
    async def _write(
        self, within: Within[T] | None, write: Callable[Concatenate[Connection, Statements, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What ``write`` returns, which has happened then together with what ``within`` has to do."""

    async def create_conversation(self, conversation: Conversation, *, within: Within[None] | None = None) -> None:
        """See ``Storage.create_conversation``."""
        await self._write(within, writes.create_conversation, conversation)

    async def create_user(self, user: User, *, within: Within[None] | None = None) -> None:
        """See ``Storage.create_user``."""
        await self._write(within, writes.create_user, user)

    async def update_user(
        self, application_id: str, user_id: str, update: Callable[[User], User], *, within: Within[User] | None = None
    ) -> User:
        """See ``Storage.update_user``."""
        return await self._write(within, writes.update_user, application_id, user_id, update)

    async def delete_user(self, application_id: str, user_id: str, *, within: Within[bool] | None = None) -> bool:
        """See ``Storage.delete_user``."""
        return await self._write(within, writes.delete_user, application_id, user_id)

    async def get_conversation(self, access: Access, conversation_id: str, members: int) -> tuple[Conversation, list[Member]]:
        """See ``Storage.get_conversation``."""
        return await self._read(queries.get_conversation, access, conversation_id, members)

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """See ``Storage.list_conversations``."""
        return await self._read(queries.list_conversations, application_id, page, now)

    async def expired_conversations(self, application_id: str, now: datetime, limit: int) -> list[str]:
        """See ``Storage.expired_conversations``."""
        return await self._glance(queries.expired_conversations, application_id, now, limit)

    async def sequence_numbers(self, application_id: str, conversation_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
        """See ``Storage.sequence_numbers``."""
        return await self._read(queries.sequence_numbers, application_id, conversation_ids, now)

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
        return await self._read(queries.list_events, access, conversation_id, wanted)

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """See ``Storage.get_event``."""
        return await self._read(queries.get_event, access, conversation_id, event_id)

    async def list_legs(self, application_id: str, page: Page) -> Slice[Leg]:
        """See ``Storage.list_legs``."""
        return await self._read(queries.list_legs, application_id, page)

    async def get_leg(self, application_id: str, leg_id: str) -> Leg:
        """See ``Storage.get_leg``."""
        return await self._glance(queries.get_leg, application_id, leg_id)
