"""Data that a ``MemoryStorage`` holds, the scene that a decision sees of it, and the data that the decision leaves."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from conversation_kit.domain.drafts import at_pointer
from conversation_kit.domain.errors import duplicate_name, key_in_use
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Block, Conversation, Exclusion, Leg, Member, MemberState, Receipt, ReceiptKind, User
from conversation_kit.domain.scene import NO_INVITATIONS, NO_TIES, Changes, Invitations, Needs, Scene, Ties
from conversation_kit.domain.values.answers import Answer

_NOBODY: Mapping[str, Member] = {}


@dataclass(slots=True)
class Room:
    """One conversation with all that is in it; the event with id n is ``events[n - 1]``, and its ``messages`` those of ``messages[n - 1]``.

    ``deleted`` are the ids of the messages that count no more, in order.
    ``active`` holds the invited and joined members once more, by user and id.
    """

    conversation: Conversation
    members: dict[str, Member] = field(default_factory=dict)
    active: dict[str, dict[str, Member]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    receipts: dict[int, dict[tuple[str, ReceiptKind], Receipt]] = field(default_factory=dict)
    exclusions: dict[str, Exclusion] = field(default_factory=dict)

    def put(self, member: Member) -> None:
        """Insert or replace a member."""
        self.members[member.id] = member
        if member.is_active:
            self.active.setdefault(member.user_id, {})[member.id] = member
        else:
            self.active.get(member.user_id, {}).pop(member.id, None)

    def event(self, id: int) -> Event:
        """Return an event as scenes have it."""
        a, c = self.conversation.application_id, self.conversation.id
        messages = self.messages[id - 1] + len(self.deleted) - bisect_right(self.deleted, id)
        return Event(a, c, id, self.events[id - 1], messages=messages)

    def active_members(self, user: User | None) -> Mapping[str, Member]:
        """Return the invited and joined members of a user, by id."""
        return self.active.get(user.id, _NOBODY) if user is not None else _NOBODY


@dataclass(slots=True)
class Application:
    """One tenant."""

    rooms: dict[str, Room] = field(default_factory=dict)
    room_names: dict[str, str] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    user_names: dict[str, str] = field(default_factory=dict)
    rooms_of_user: dict[str, dict[str, None]] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    blocks: dict[str, dict[str, Block]] = field(default_factory=dict)
    sent: dict[str, set[str]] = field(default_factory=dict)
    """The ids of the members that were invited by a user and have not answered."""

    def note(self, member: Member) -> None:
        """Keep ``sent`` in step with a member's state."""
        if member.invited_by is not None:
            open = self.sent.setdefault(member.invited_by, set())
            if member.state is MemberState.INVITED:
                open.add(member.id)
            else:
                open.discard(member.id)

    spent: dict[str, datetime] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def user_named(self, name: str | None) -> User | None:
        """Return the user of this name, if there is one."""
        id = self.user_names.get(name) if name is not None else None
        return self.users[id] if id is not None else None


def scene_of(application: Application, room: Room | None, needs: Needs) -> Scene:
    """Return the scene that a decision on this conversation gets to see."""
    caller, user = application.user_named(needs.caller), None
    if needs.user_id is not None:
        user = application.users.get(needs.user_id)
    elif needs.user_name is not None:
        user = application.user_named(needs.user_name)
    elif needs.user_of is not None:
        member = room.members.get(needs.user_of) if room is not None else None
        user = application.users.get(member.user_id) if member is not None else None
    looks_at_legs = needs.legs or needs.live_legs or needs.knocking_id is not None or needs.conversation_of is not None
    legs = _legs(application, room, needs) if looks_at_legs else ()
    ties = _ties(application, user, needs) if needs.memberships or needs.blocked_id is not None else NO_TIES
    if room is None:
        return Scene(None, caller, user, legs=legs, ties=ties)
    conversation = room.conversation
    exclusion = room.exclusions.get(user.id) if needs.exclusion and user is not None else None
    invitations = _invitations(application, caller, user) if needs.invitations else NO_INVITATIONS
    if not needs.events and needs.behind is None:
        members = _members(room, caller, user, needs.members)
        return Scene(conversation, caller, user, members, {}, legs, exclusion, invitations, ties)
    events = {id: room.event(id) for id in needs.events if 1 <= id <= len(room.events)}
    named = [*needs.members, *(event.sender for event in events.values() if event.sender is not None)]
    if needs.behind is not None:
        named += [member.id for member in room.members.values() if member.is_active and member.seen < needs.behind]
    members = _members(room, caller, user, named)
    there = {member.id for member in members}
    for id, event in events.items():
        if id in room.receipts:
            receipts = [receipt for receipt in room.receipts[id].values() if receipt.member_id in there]
            events[id] = replace(event, receipts=receipts)
    return Scene(conversation, caller, user, members, events, legs, exclusion, invitations, ties)


def _invitations(application: Application, caller: User | None, user: User | None) -> Invitations:
    received = sum(member.state is MemberState.INVITED for _, member in memberships(application, user))
    if caller is None:
        return Invitations(0, received)
    is_blocked = user is not None and caller.id in application.blocks.get(user.id, ())
    return Invitations(len(application.sent.get(caller.id, ())), received, is_blocked)


def _ties(application: Application, user: User | None, needs: Needs) -> Ties:
    """Return the ties of the user acted upon, and the user to block even without it."""
    is_member = needs.memberships and any(memberships(application, user))
    if needs.blocked_id is None:
        return Ties(is_member)
    blocked, blocks = application.users.get(needs.blocked_id), application.blocks.get(user.id, {}) if user is not None else {}
    return Ties(is_member, blocked, blocks.get(needs.blocked_id), len(blocks))


def _members(room: Room, caller: User | None, user: User | None, named: Iterable[str]) -> list[Member]:
    """Return the invited and joined members of these users and those with these ids, oldest first."""
    members = dict(room.active_members(caller))
    if user is not None:
        members.update(room.active_members(user))
    for member_id in named:
        if member_id not in members and member_id in room.members:
            members[member_id] = room.members[member_id]
    return list(members.values()) if len(members) < 2 else sorted(members.values(), key=age)


def age(member: Member) -> tuple[datetime, str]:
    """Return the key that sorts members oldest first."""
    return member.created, member.id


def _legs(application: Application, room: Room | None, needs: Needs) -> list[Leg]:
    ids = needs.legs if needs.conversation_of is None else (*needs.legs, needs.conversation_of)
    found = {id: application.legs[id] for id in ids if id in application.legs}
    if needs.knocking_id is not None or needs.live_legs:
        for leg in application.legs.values():
            knocks = needs.knocking_id is not None and leg.knocking_id == needs.knocking_id
            if knocks or (needs.live_legs and room is not None and leg.conversation_id == room.conversation.id and leg.is_live):
                found[leg.id] = leg
    return list(found.values())


def commit(application: Application, room: Room | None, changes: Changes[Any]) -> None:
    """Carry out what a decision changes: all of it, or nothing where a name or an answer's mark is taken."""
    new, changed = changes.new_conversation, changes.conversation
    has_people = changes.new_users or changes.users or changes.removed_users or changes.blocks or changes.unblocked
    if has_people or new is not None or (room is not None and changed is not None and changed.name != room.conversation.name):
        _check_names(application, room, changes)
    if changes.answers:
        _keep(application, changes.answers)
    if new is not None:
        room = application.rooms[new.id] = Room(new)
        application.room_names[new.name] = new.id
    if room is not None:
        _commit_room(application, room, changes)
    for leg in changes.legs:
        application.legs[leg.id] = leg
    for leg_id in changes.removed_legs:
        application.legs.pop(leg_id, None)
    if has_people:
        _commit_users(application, changes)


def _keep(application: Application, answers: Sequence[Answer]) -> None:
    """Keep answers, and forget those that have expired. Raises ``key_in_use``."""
    for answer in answers:
        # They are kept about in the order in which they expire.
        while application.answers and next(iter(application.answers.values())).expires_at <= answer.created:
            del application.answers[next(iter(application.answers))]
        held = application.answers.get(answer.mark)
        if held is not None and held.expires_at > answer.created:
            raise key_in_use()
        application.answers.pop(answer.mark, None)
        application.answers[answer.mark] = answer


def _check_names(application: Application, room: Room | None, changes: Changes[Any]) -> None:
    """Raise ``duplicate_name`` for a name that somebody else has."""
    changed = changes.conversation if room is not None and not changes.destroyed else None
    for conversation in (changes.new_conversation, changed):
        if conversation is not None and application.room_names.get(conversation.name, conversation.id) != conversation.id:
            raise duplicate_name("conversation", conversation.name)
    for user in (*changes.new_users, *changes.users):
        if application.user_names.get(user.name, user.id) != user.id:
            raise duplicate_name("user", user.name)


def _commit_room(application: Application, room: Room, changes: Changes[Any]) -> None:
    """Carry out what a decision changes in this conversation."""
    old = room.conversation
    if changes.destroyed:
        del application.rooms[old.id]
        del application.room_names[old.name]
        for member in room.members.values():
            application.rooms_of_user.get(member.user_id, {}).pop(old.id, None)
            application.note(replace(member, state=MemberState.LEFT))
        return
    new = changes.conversation
    if new is not None:
        if new.name != old.name:
            del application.room_names[old.name]
            application.room_names[new.name] = new.id
        room.conversation = new
    for member in changes.members:
        room.put(member)
        application.note(member)
        application.rooms_of_user.setdefault(member.user_id, {})[old.id] = None
    for pointer in changes.pointers:
        room.put(at_pointer(room.members[pointer.member_id], pointer.seen, pointer.seen_messages))
    for event in changes.events:
        room.events.append(event.data)
        room.messages.append(event.messages)
    for event in changes.rewritten:
        assert event.id is not None
        room.events[event.id - 1] = event.data
    for id in changes.deleted:
        insort(room.deleted, id)
    for receipt in changes.receipts:
        room.receipts.setdefault(receipt.event_id, {}).setdefault((receipt.member_id, receipt.kind), receipt)
    for exclusion in changes.exclusions:
        room.exclusions[exclusion.user_id] = exclusion
    for user_id in changes.lifted:
        room.exclusions.pop(user_id, None)


def _commit_users(application: Application, changes: Changes[Any]) -> None:
    """Carry out what a decision changes in users and between them."""
    for user in changes.users:
        del application.user_names[application.users[user.id].name]
        for conversation_id in application.rooms_of_user.get(user.id, ()):
            room = application.rooms[conversation_id]
            for member in [member for member in room.members.values() if member.user_id == user.id]:
                room.put(replace(member, user_name=user.name, display_name=user.display_name, image_url=user.image_url))
    for user in (*changes.new_users, *changes.users):
        application.users[user.id] = user
        application.user_names[user.name] = user.id
    for user_id in changes.removed_users:
        del application.user_names[application.users.pop(user_id).name]
        application.blocks.pop(user_id, None)
        for blocks in application.blocks.values():
            blocks.pop(user_id, None)
        for room in application.rooms.values():
            room.exclusions.pop(user_id, None)
    for block in changes.blocks:
        application.blocks.setdefault(block.user_id, {})[block.blocked_id] = block
    for user_id, blocked_id in changes.unblocked:
        application.blocks.get(user_id, {}).pop(blocked_id, None)


def memberships(application: Application, user: User | None) -> Iterable[tuple[Conversation, Member]]:
    """Yield the invited and joined members of a user, each with its conversation."""
    for conversation_id in application.rooms_of_user.get(user.id, ()) if user is not None else ():
        room = application.rooms[conversation_id]
        for member in room.active_members(user).values():
            yield room.conversation, member
