"""MemoryStorage: the reference reading of the port, and good enough for tests and small demos."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from conversation_kit.domain.errors import duplicate_name, event_not_found, leg_not_found, member_not_found, user_not_found
from conversation_kit.domain.events import SEPARATOR, Event, EventPage
from conversation_kit.domain.models import Conversation, Leg, Member, Receipt, ReceiptKind, User, at_pointer
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.rules import check_access, is_expired
from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit.ports import Capabilities

T = TypeVar("T")
R = TypeVar("R", Conversation, User, Leg)

_NOBODY: Mapping[str, Member] = {}


@dataclass(slots=True)
class _Room:
    """One conversation with all that is in it; the event with id n is ``events[n - 1]``, and its ``messages`` those of ``messages[n - 1]``.

    ``active`` holds the invited and joined members once more, by user and id.
    """

    conversation: Conversation
    members: dict[str, Member] = field(default_factory=dict)
    active: dict[str, dict[str, Member]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    receipts: dict[int, dict[tuple[str, ReceiptKind], Receipt]] = field(default_factory=dict)

    def put(self, member: Member) -> None:
        self.members[member.id] = member
        if member.is_active:
            self.active.setdefault(member.user_id, {})[member.id] = member
        else:
            self.active.get(member.user_id, {}).pop(member.id, None)

    def active_members(self, user: User | None) -> Mapping[str, Member]:
        return self.active.get(user.id, _NOBODY) if user is not None else _NOBODY


@dataclass(slots=True)
class _Application:
    """One tenant."""

    rooms: dict[str, _Room] = field(default_factory=dict)
    room_names: dict[str, str] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    user_names: dict[str, str] = field(default_factory=dict)
    rooms_of_user: dict[str, dict[str, None]] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)

    def user_named(self, name: str | None) -> User | None:
        id = self.user_names.get(name) if name is not None else None
        return self.users[id] if id is not None else None


class MemoryStorage:
    """Keeps everything in this process and forgets it when the process ends.

    No method awaits anything while it works, and a lock covers hosts that run several event loops in threads.
    """

    capabilities = Capabilities(durable=False, several_processes=False)

    def __init__(self) -> None:
        self._applications: dict[str, _Application] = {}
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        """Data stays for the life of the object."""

    def _application(self, application_id: str) -> _Application:
        application = self._applications.get(application_id)
        if application is None:
            application = self._applications[application_id] = _Application()
        return application

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Changes[T]:
        """See ``Storage.change``."""
        with self._lock:
            application = self._application(application_id)
            room = application.rooms.get(conversation_id) if conversation_id is not None else None
            changes = decide(_scene(application, room, needs))
            if room is not None:
                _commit_room(application, room, changes)
            for leg in changes.legs:
                application.legs[leg.id] = leg
            for leg_id in changes.removed_legs:
                application.legs.pop(leg_id, None)
            return changes

    async def create_conversation(self, conversation: Conversation) -> None:
        """See ``Storage.create_conversation``."""
        with self._lock:
            application = self._application(conversation.application_id)
            if conversation.name in application.room_names:
                raise duplicate_name("conversation", conversation.name)
            application.rooms[conversation.id] = _Room(conversation)
            application.room_names[conversation.name] = conversation.id

    def _readable(self, access: Access, conversation_id: str) -> _Room:
        application = self._application(access.application_id)
        room = application.rooms.get(conversation_id)
        user = application.user_named(access.user_name)
        own = list(room.active_members(user).values()) if room else []
        check_access(access, room.conversation if room else None, user, own)
        assert room is not None
        return room

    async def get_conversation(self, access: Access, conversation_id: str, members: int) -> tuple[Conversation, list[Member]]:
        """See ``Storage.get_conversation``."""
        with self._lock:
            room = self._readable(access, conversation_id)
            ordered = sorted(room.members.values(), key=lambda member: (not member.is_active, *_age(member)))
            return room.conversation, ordered[:members]

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """See ``Storage.list_conversations``."""
        with self._lock:
            rooms = self._application(application_id).rooms.values()
            return _paged((room.conversation for room in rooms if not is_expired(room.conversation, now)), page)

    async def expired_conversations(self, application_id: str, now: datetime, limit: int) -> list[str]:
        """See ``Storage.expired_conversations``."""
        with self._lock:
            rooms = self._application(application_id).rooms.values()
            return [room.conversation.id for room in rooms if is_expired(room.conversation, now)][:limit]

    async def sequence_numbers(self, application_id: str, conversation_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
        """See ``Storage.sequence_numbers``."""
        with self._lock:
            rooms = self._application(application_id).rooms
            found = [rooms[id].conversation for id in conversation_ids if id in rooms]
            return {conversation.id: conversation.sequence_number for conversation in found if not is_expired(conversation, now)}

    async def create_user(self, user: User) -> None:
        """See ``Storage.create_user``."""
        with self._lock:
            application = self._application(user.application_id)
            if user.name in application.user_names:
                raise duplicate_name("user", user.name)
            application.users[user.id] = user
            application.user_names[user.name] = user.id

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

    async def update_user(self, application_id: str, user_id: str, update: Callable[[User], User]) -> User:
        """See ``Storage.update_user``."""
        with self._lock:
            application = self._application(application_id)
            old = application.users.get(user_id)
            if old is None:
                raise user_not_found(user_id)
            user = update(old)
            if user.name != old.name:
                if user.name in application.user_names:
                    raise duplicate_name("user", user.name)
                del application.user_names[old.name]
                application.user_names[user.name] = user.id
                for conversation_id in application.rooms_of_user.get(user_id, ()):
                    room = application.rooms[conversation_id]
                    for member in [member for member in room.members.values() if member.user_id == user_id]:
                        room.put(replace(member, user_name=user.name))
            application.users[user_id] = user
            return user

    async def delete_user(self, application_id: str, user_id: str) -> bool:
        """See ``Storage.delete_user``."""
        with self._lock:
            application = self._application(application_id)
            user = application.users.get(user_id)
            if user is None:
                raise user_not_found(user_id)
            if any(_memberships(application, user)):
                return False
            del application.users[user_id]
            del application.user_names[user.name]
            return True

    async def list_memberships(self, application_id: str, user_id: str, page: Page, now: datetime) -> Slice[tuple[Conversation, Member]]:
        """See ``Storage.list_memberships``."""
        with self._lock:
            application = self._application(application_id)
            found = [pair for pair in _memberships(application, application.users.get(user_id)) if not is_expired(pair[0], now)]
            found.sort(key=lambda pair: (pair[0].created, pair[0].id, pair[1].created, pair[1].id), reverse=page.descending)
            return Slice(found[page.index : page.index + page.size], len(found))

    async def list_members(self, access: Access, conversation_id: str, page: Page) -> Slice[Member]:
        """See ``Storage.list_members``."""
        with self._lock:
            members = sorted(self._readable(access, conversation_id).members.values(), key=_age, reverse=page.descending)
            return Slice(members[page.index : page.index + page.size], len(members))

    async def get_member(self, access: Access, conversation_id: str, member_id: str) -> Member:
        """See ``Storage.get_member``."""
        with self._lock:
            member = self._readable(access, conversation_id).members.get(member_id)
            if member is None:
                raise member_not_found(member_id)
            return member

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``."""
        with self._lock:
            room = self._readable(access, conversation_id)
            ids = wanted.ids(len(room.events))
            texts = room.events[min(ids[0], ids[-1]) - 1 : max(ids[0], ids[-1])] if ids else []
            if wanted.descending:
                texts.reverse()
            text = SEPARATOR.join(texts)
            receipts = {id: tuple(room.receipts[id].values()) for id in ids if id in room.receipts} if room.receipts else {}
            return EventPage(access.application_id, conversation_id, ids, text, receipts)

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """See ``Storage.get_event``."""
        with self._lock:
            room = self._readable(access, conversation_id)
            if not 1 <= event_id <= len(room.events):
                raise event_not_found(event_id)
            receipts = tuple(room.receipts.get(event_id, {}).values())
            return Event(access.application_id, conversation_id, event_id, room.events[event_id - 1], receipts)

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


def _scene(application: _Application, room: _Room | None, needs: Needs) -> Scene:
    caller, user = application.user_named(needs.caller), None
    if needs.user_id is not None:
        user = application.users.get(needs.user_id)
    elif needs.user_name is not None:
        user = application.user_named(needs.user_name)
    legs = _legs(application, room, needs) if needs.legs or needs.live_legs or needs.knocking_id is not None else ()
    if room is None:
        return Scene(None, caller, user, legs=legs)
    conversation = room.conversation
    if not needs.events:
        return Scene(conversation, caller, user, _members(room, caller, user, needs.members), {}, legs)
    events = {
        id: Event(conversation.application_id, conversation.id, id, room.events[id - 1], messages=room.messages[id - 1])
        for id in needs.events
        if 1 <= id <= len(room.events)
    }
    senders = [event.sender for event in events.values() if event.sender is not None]
    members = _members(room, caller, user, (*needs.members, *senders))
    there = {member.id for member in members}
    for id, event in events.items():
        if id in room.receipts:
            receipts = [receipt for receipt in room.receipts[id].values() if receipt.member_id in there]
            events[id] = replace(event, receipts=receipts)
    return Scene(conversation, caller, user, members, events, legs)


def _members(room: _Room, caller: User | None, user: User | None, named: Iterable[str]) -> list[Member]:
    """The invited and joined members of these users and those with these ids, oldest first."""
    members = dict(room.active_members(caller))
    if user is not None:
        members.update(room.active_members(user))
    for member_id in named:
        if member_id not in members and member_id in room.members:
            members[member_id] = room.members[member_id]
    return list(members.values()) if len(members) < 2 else sorted(members.values(), key=_age)


def _age(member: Member) -> tuple[datetime, str]:
    return member.created, member.id


def _legs(application: _Application, room: _Room | None, needs: Needs) -> list[Leg]:
    found = {id: application.legs[id] for id in needs.legs if id in application.legs}
    if needs.knocking_id is not None or needs.live_legs:
        for leg in application.legs.values():
            knocks = needs.knocking_id is not None and leg.knocking_id == needs.knocking_id
            if knocks or (needs.live_legs and room is not None and leg.conversation_id == room.conversation.id and leg.is_live):
                found[leg.id] = leg
    return list(found.values())


def _commit_room(application: _Application, room: _Room, changes: Changes[T]) -> None:
    old = room.conversation
    if changes.destroyed:
        del application.rooms[old.id]
        del application.room_names[old.name]
        for member in room.members.values():
            application.rooms_of_user.get(member.user_id, {}).pop(old.id, None)
        return
    new = changes.conversation
    if new is not None:
        if new.name != old.name:
            if new.name in application.room_names:
                raise duplicate_name("conversation", new.name)
            del application.room_names[old.name]
            application.room_names[new.name] = new.id
        room.conversation = new
    for member in changes.members:
        room.put(member)
        application.rooms_of_user.setdefault(member.user_id, {})[old.id] = None
    for pointer in changes.pointers:
        room.put(at_pointer(room.members[pointer.member_id], pointer.seen, pointer.seen_messages))
    for event in changes.events:
        room.events.append(event.data)
        room.messages.append(event.messages)
    for event in changes.rewritten:
        assert event.id is not None
        room.events[event.id - 1] = event.data
    for receipt in changes.receipts:
        room.receipts.setdefault(receipt.event_id, {}).setdefault((receipt.member_id, receipt.kind), receipt)


def _memberships(application: _Application, user: User | None) -> Iterable[tuple[Conversation, Member]]:
    for conversation_id in application.rooms_of_user.get(user.id, ()) if user is not None else ():
        room = application.rooms[conversation_id]
        for member in room.active_members(user).values():
            yield room.conversation, member


def _paged(rows: Iterable[R], page: Page) -> Slice[R]:
    found = [row for row in rows if (page.start is None or row.created >= page.start) and (page.end is None or row.created < page.end)]
    found.sort(key=lambda row: (row.created, row.id), reverse=page.descending)
    return Slice(found[page.index : page.index + page.size], len(found))
