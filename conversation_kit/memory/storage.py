"""MemoryStorage: the reference reading of the port, and good enough for tests and small demos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from conversation_kit import forks
from conversation_kit.domain.errors import event_not_found, leg_not_found, member_not_found, user_not_found
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Block, Conversation, Exclusion, Leg, Member, MemberState, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice, fitting, row_bytes
from conversation_kit.domain.rules import check_access, is_expired
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.domain.values.answers import Answer
from conversation_kit.domain.values.epochs import FIRST_EPOCH, new_epoch
from conversation_kit.memory.rooms import Application, Room, age, commit, memberships, scene_of
from conversation_kit.ports import Capabilities

T = TypeVar("T")
R = TypeVar("R", Conversation, User, Leg)


class MemoryStorage:
    """Storage in this process, which forgets everything when the process ends.

    No method awaits anything while it works, and a lock covers hosts that run several event loops in threads.
    """

    capabilities = Capabilities(durable=False, several_processes=False)

    def __init__(self) -> None:
        self._applications: dict[str, Application] = {}
        self._lock = forks.lock()
        self._epoch = FIRST_EPOCH

    async def open(self) -> None:
        """Do nothing: there is nothing to make ready."""

    async def close(self) -> None:
        """Do nothing: data stays for the life of the object."""

    async def epoch(self) -> str:
        """See ``Restorable.epoch``."""
        return self._epoch

    async def renew_epoch(self) -> str:
        """See ``Restorable.renew_epoch``."""
        self._epoch = new_epoch()
        return self._epoch

    def _application(self, application_id: str) -> Application:
        application = self._applications.get(application_id)
        if application is None:
            application = self._applications[application_id] = Application()
        return application

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Changes[T]:
        """See ``Storage.change``."""
        with self._lock:
            application = self._application(application_id)
            if needs.conversation_of is not None:
                leg = application.legs.get(needs.conversation_of)
                conversation_id = leg.conversation_id if leg is not None else None
            room = application.rooms.get(conversation_id) if conversation_id is not None else None
            changes = decide(scene_of(application, room, needs))
            commit(application, room, changes)
            return changes

    def _readable(self, access: Access, conversation_id: str) -> Room:
        application = self._application(access.application_id)
        room = application.rooms.get(conversation_id)
        user = application.user_named(access.user_name)
        own = list(room.active_members(user).values()) if room else []
        check_access(access, room.conversation if room else None, user, own)
        assert room is not None
        return room

    async def get_conversation(
        self, access: Access, conversation_id: str, members: int, max_bytes: int | None = None
    ) -> tuple[Conversation, list[Member]]:
        """See ``Storage.get_conversation``."""
        with self._lock:
            room = self._readable(access, conversation_id)
            ordered = sorted(room.members.values(), key=lambda member: (not member.is_active, *age(member)))
            found = ordered[:members]
            return room.conversation, found if max_bytes is None else found[: fitting(map(row_bytes, found), max_bytes)]

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """See ``Storage.list_conversations``."""
        with self._lock:
            rooms = self._application(application_id).rooms.values()
            return _paged((room.conversation for room in rooms if not is_expired(room.conversation, now)), page)

    async def expired_conversations(
        self, application_id: str, now: datetime, limit: int, *, name: str | None = None, user_id: str | None = None
    ) -> list[str]:
        """See ``Storage.expired_conversations``."""
        with self._lock:
            application = self._application(application_id)
            ids: Iterable[str] = application.rooms
            if user_id is not None:
                ids = [id for id in application.rooms_of_user.get(user_id, ()) if application.rooms[id].active.get(user_id)]
            if name is not None:
                found = application.room_names.get(name)
                ids = [found] if found is not None and found in ids else []
            return [id for id in ids if is_expired(application.rooms[id].conversation, now)][:limit]

    async def sequence_numbers(self, application_id: str, conversation_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
        """See ``Storage.sequence_numbers``."""
        with self._lock:
            rooms = self._application(application_id).rooms
            found = [rooms[id].conversation for id in conversation_ids if id in rooms]
            return {conversation.id: conversation.sequence_number for conversation in found if not is_expired(conversation, now)}

    async def get_user(self, application_id: str, *, id: str | None = None, name: str | None = None) -> User:
        """See ``Storage.get_user``."""
        with self._lock:
            application = self._application(application_id)
            user = application.users.get(id) if id is not None else application.user_named(name)
            if user is None:
                raise user_not_found(id or name or "")
            return user

    async def list_users(self, application_id: str, page: Page) -> Slice[User]:
        """See ``Storage.list_users``."""
        with self._lock:
            return _paged(self._application(application_id).users.values(), page)

    async def list_memberships(self, application_id: str, user_id: str, page: Page, now: datetime) -> Slice[tuple[Conversation, Member]]:
        """See ``Storage.list_memberships``."""
        with self._lock:
            application = self._application(application_id)
            found = [pair for pair in memberships(application, application.users.get(user_id)) if not is_expired(pair[0], now)]
            found.sort(key=lambda pair: (pair[0].created, pair[0].id, pair[1].created, pair[1].id), reverse=page.descending)
            return page.of(found)

    async def newest_memberships(
        self, application_id: str, user_id: str, limit: int, now: datetime, conversation_ids: Sequence[str] | None = None
    ) -> Slice[tuple[Conversation, Member]]:
        """See ``Storage.newest_memberships``."""
        with self._lock:
            application = self._application(application_id)
            found = [pair for pair in memberships(application, application.users.get(user_id)) if not is_expired(pair[0], now)]
            if conversation_ids is not None:
                found = [pair for pair in found if pair[0].id in conversation_ids]
            found.sort(key=lambda pair: (pair[1].state is MemberState.JOINED, pair[0].created, pair[0].id, age(pair[1])), reverse=True)
            return Slice(found[:limit], len(found))

    async def list_members(
        self, access: Access, conversation_id: str, page: Page, states: frozenset[MemberState] | None = None
    ) -> Slice[Member]:
        """See ``Storage.list_members``."""
        with self._lock:
            found = self._readable(access, conversation_id).members.values()
            members = [member for member in found if states is None or member.state in states]
            members.sort(key=age, reverse=page.descending)
            return page.of(members)

    async def get_member(self, access: Access, conversation_id: str, member_id: str) -> Member:
        """See ``Storage.get_member``."""
        with self._lock:
            member = self._readable(access, conversation_id).members.get(member_id)
            if member is None:
                raise member_not_found(member_id)
            return member

    async def list_exclusions(self, access: Access, conversation_id: str, page: Page) -> Slice[Exclusion]:
        """See ``Storage.list_exclusions``."""
        with self._lock:
            found = list(self._readable(access, conversation_id).exclusions.values())
            found.sort(key=lambda exclusion: (exclusion.created, exclusion.user_id), reverse=page.descending)
            return page.of(found)

    async def list_blocks(self, application_id: str, user_id: str, page: Page) -> Slice[Block]:
        """See ``Storage.list_blocks``."""
        with self._lock:
            found = list(self._application(application_id).blocks.get(user_id, {}).values())
            found.sort(key=lambda block: (block.created, block.blocked_id), reverse=page.descending)
            return page.of(found)

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``."""
        with self._lock:
            room = self._readable(access, conversation_id)
            ids = wanted.ids(len(room.events))
            texts = room.events[min(ids[0], ids[-1]) - 1 : max(ids[0], ids[-1])] if ids else []
            if wanted.descending:
                texts.reverse()
            receipts = {id: tuple(room.receipts[id].values()) for id in ids if id in room.receipts} if room.receipts else {}
            return EventPage.of(access.application_id, conversation_id, ids, texts, receipts, wanted.max_bytes)

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """See ``Storage.get_event``."""
        with self._lock:
            room = self._readable(access, conversation_id)
            if not 1 <= event_id <= len(room.events):
                raise event_not_found(event_id)
            receipts = tuple(room.receipts.get(event_id, {}).values())
            return Event(access.application_id, conversation_id, event_id, room.events[event_id - 1], receipts)

    async def get_answer(self, application_id: str, mark: str, now: datetime) -> Answer | None:
        """See ``Storage.get_answer``."""
        with self._lock:
            answer = self._application(application_id).answers.get(mark)
            return answer if answer is not None and answer.expires_at > now else None

    async def spend(self, application_id: str, mark: str, until: datetime, now: datetime) -> bool:
        """See ``Storage.spend``."""
        with self._lock:
            spent = self._application(application_id).spent
            # Marks are spent about in the order in which they end.
            while spent and next(iter(spent.values())) <= now:
                del spent[next(iter(spent))]
            if mark in spent:
                return False
            spent[mark] = until
            return True

    async def list_legs(self, application_id: str, page: Page) -> Slice[Leg]:
        """See ``Storage.list_legs``."""
        with self._lock:
            return _paged(self._application(application_id).legs.values(), page)

    async def get_leg(self, application_id: str, leg_id: str) -> Leg:
        """See ``Storage.get_leg``."""
        with self._lock:
            leg = self._application(application_id).legs.get(leg_id)
            if leg is None:
                raise leg_not_found(leg_id)
            return leg


def _paged(rows: Iterable[R], page: Page) -> Slice[R]:
    found = [row for row in rows if (page.start is None or row.created >= page.start) and (page.end is None or row.created < page.end)]
    found.sort(key=lambda row: (row.created, row.id), reverse=page.descending)
    return page.of(found)
