"""What one decision gets to see and what it changes.

Every change of a conversation is one call of ``Storage.change``: the storage loads the ``Scene`` that the
``Needs`` describe, lets a pure function decide on it, and commits the ``Changes``, all of it atomically. So
rules live here and in the services alone, and a transition cannot race: whoever decides has the conversation
to itself.

Nobody changes a ``Needs``, ``Scene`` or ``Changes`` either; they are not frozen because that takes three times as long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from conversation_kit.domain.errors import conversation_not_found
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import (
    ACTIVE,
    Conversation,
    JSONObject,
    Leg,
    Member,
    MemberState,
    Pointer,
    Receipt,
    User,
    at_pointer,
    at_sequence,
)
from conversation_kit.domain.signals import EventCreated, LegSignal, LegStarted, LegTerminated, LegUpdated, Signal
from conversation_kit.domain.values import check_ttl

T = TypeVar("T")


@dataclass(slots=True)
class Needs:
    """What a decision wants to see beside the conversation itself; absent things are simply not in the scene.

    ``caller`` is the name of the acting user, ``user_id`` and ``user_name`` name the user acted upon; both bring
    their invited and joined memberships of the conversation with them. ``members`` and ``legs`` are looked up by
    id, ``events`` by id with their senders and with the receipts on them of the members in the scene,
    ``knocking_id`` brings the leg of that knocker,
    ``live_legs`` every leg of the conversation that has not ended.
    """

    caller: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    members: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    legs: tuple[str, ...] = ()
    knocking_id: str | None = None
    live_legs: bool = False


@dataclass(slots=True)
class Scene:
    """The state on which a decision is taken. ``conversation`` is ``None`` for what has none (a knocker's leg)."""

    conversation: Conversation | None
    caller: User | None = None
    user: User | None = None
    members: Sequence[Member] = ()
    events: Mapping[int, Event] = field(default_factory=dict)
    legs: Sequence[Leg] = ()

    def at(self, now: datetime) -> Conversation:
        """The conversation, which must exist and not have expired by ``now``."""
        conversation = self.conversation
        if conversation is None or (conversation.expires_at is not None and conversation.expires_at <= now):
            raise conversation_not_found()
        return conversation

    def member(self, member_id: str) -> Member | None:
        """The member with this id, if it is in the scene."""
        for member in self.members:
            if member.id == member_id:
                return member
        return None

    def members_of(self, user: User | None, *states: MemberState) -> list[Member]:
        """The memberships of ``user`` in one of ``states`` (default: invited or joined), oldest first."""
        wanted = states or tuple(ACTIVE)
        return [member for member in self.members if user is not None and member.user_id == user.id and member.state in wanted]

    def leg(self, leg_id: str) -> Leg | None:
        """The leg with this id, if it is in the scene."""
        return next((leg for leg in self.legs if leg.id == leg_id), None)


@dataclass(slots=True)
class Changes(Generic[T]):
    """What the storage has to commit, and what the decision answers.

    ``conversation`` is its new version, ``None`` when it stays as it is; ``destroyed`` says that it goes, with members,
    events and receipts. ``members`` and ``legs`` are inserted or replaced by id. ``pointers`` replace ``seen`` and ``seen_messages`` of
    members that are there and not among ``members``. ``events`` are appended: their ids follow the old ``sequence_number`` without a hole,
    and their ``messages`` are kept for scenes. ``rewritten`` events replace the data at their ids and nothing else. ``receipts`` are added;
    of one event, member and kind the first one stays. Of a conversation that does not exist only ``legs`` and ``removed_legs`` count.
    ``signals`` and ``result`` are the core's and no business of the storage.
    """

    result: T
    conversation: Conversation | None = None
    destroyed: bool = False
    members: Sequence[Member] = ()
    pointers: Sequence[Pointer] = ()
    events: Sequence[Event] = ()
    rewritten: Sequence[Event] = ()
    receipts: Sequence[Receipt] = ()
    legs: Sequence[Leg] = ()
    removed_legs: Sequence[str] = ()
    signals: Sequence[Signal] = ()


Decide: TypeAlias = Callable[[Scene], Changes[T]]
"""Pure: the same scene gives the same changes. A storage may call it again after a conflict."""


class Draft:
    """Gathers what one decision changes in one conversation at one instant."""

    def __init__(self, scene: Scene, now: datetime) -> None:
        """Raises ``NotFound`` when the conversation does not exist."""
        self.scene = scene
        self.now = now
        self.conversation = scene.at(now)
        self._before = self.conversation
        self._members: dict[str, Member] = {}
        self._pointers: dict[str, Pointer] = {}
        self._legs: dict[str, Leg] = {}
        self._changes: Changes[Any] = Changes(None)

    def append(
        self,
        type: str,
        body: JSONObject,
        *,
        sender: str | None = None,
        to: str | None = None,
        body_text: str | None = None,
        is_message: bool = False,
    ) -> Event:
        """Append an event at the next position and announce it."""
        conversation = self.conversation
        application_id, id, messages = conversation.application_id, conversation.sequence_number + 1, conversation.messages + is_message
        event = Event.compose(
            application_id,
            conversation.id,
            id,
            type=type,
            body=body,
            timestamp=self.now,
            sender=sender,
            to=to,
            body_text=body_text,
            messages=messages,
        )
        self.conversation = at_sequence(conversation, id, messages)
        changes = self._changes
        changes.events = (*changes.events, event)
        changes.signals = (*changes.signals, EventCreated(application_id, event))
        return event

    def whisper(self, type: str, body: JSONObject, *, sender: str | None = None, to: str | None = None) -> Event:
        """Announce an ephemeral event: it has no id and is not kept."""
        event = self.compose(None, type, body, sender=sender, to=to)
        self.announce(EventCreated(event.application_id, event))
        return event

    def compose(
        self,
        id: int | None,
        type: str,
        body: JSONObject,
        *,
        sender: str | None = None,
        to: str | None = None,
        timestamp: datetime | None = None,
    ) -> Event:
        """An event of this conversation, made but not appended."""
        return Event.compose(
            self.conversation.application_id,
            self.conversation.id,
            id,
            type=type,
            body=body,
            timestamp=timestamp or self.now,
            sender=sender,
            to=to,
        )

    def rewrite(self, event: Event) -> None:
        """Replace the data of an event that is in the log."""
        self._changes.rewritten = (*self._changes.rewritten, event)

    def receipt(self, receipt: Receipt) -> None:
        """Note that an event got to a member."""
        self._changes.receipts = (*self._changes.receipts, receipt)

    def announce(self, signal: Signal) -> None:
        """Tell receivers after the commit."""
        self._changes.signals = (*self._changes.signals, signal)

    def update(self, **changes: Any) -> None:
        """Change attributes of the conversation."""
        self.conversation = replace(self.conversation, **changes)

    def member(self, member_id: str) -> Member | None:
        """A member as this draft leaves it."""
        member = self._members.get(member_id) or self.scene.member(member_id)
        pointer = self._pointers.get(member_id)
        return at_pointer(member, pointer.seen, pointer.seen_messages) if member and pointer else member

    def save_member(self, member: Member) -> None:
        """Insert or replace a member; keeps the conversation's counters and its expiry in step with the states."""
        old = self.member(member.id)
        was = old.state if old is not None else MemberState.LEFT
        active = self.conversation.active_members + (member.state in ACTIVE) - (was in ACTIVE)
        joined = self.conversation.joined_members + (member.state is MemberState.JOINED) - (was is MemberState.JOINED)
        emptied = joined == 0 and self.conversation.joined_members > 0
        self.update(active_members=active, joined_members=joined)
        if emptied:
            self.update(expires_at=expiry(self.conversation.properties, self.now))
        elif joined:
            self.update(expires_at=None)
        pointer = self._pointers.pop(member.id, None)
        self._members[member.id] = at_pointer(member, pointer.seen, pointer.seen_messages) if pointer else member

    def begin(self, member: Member) -> Member:
        """The member when its membership begins with the next event: what was said before does not count for it."""
        conversation = self.conversation
        since = conversation.sequence_number + 1
        return replace(member, since=since, seen=since, seen_messages=conversation.messages)

    def see(self, member_id: str, event: Event) -> None:
        """Move a member's read pointer on to an event of the log; it never moves back, nor does its count."""
        member = self.member(member_id)
        assert member is not None
        assert event.id is not None
        if event.id <= member.seen:
            return
        messages = max(member.seen_messages, event.messages)
        if member_id in self._members:
            self._members[member_id] = at_pointer(member, event.id, messages)
        else:
            self._pointers[member_id] = Pointer(member_id, event.id, messages)

    def save_leg(self, leg: Leg) -> None:
        """Insert or replace a leg and announce what became of it."""
        old = self._legs.get(leg.id) or self.scene.leg(leg.id)
        self._legs[leg.id] = leg
        self.announce(leg_signal(old, leg))

    def remove_leg(self, leg: Leg) -> None:
        """Take a leg off the list."""
        self._changes.removed_legs = (*self._changes.removed_legs, leg.id)

    def destroy(self) -> None:
        """Remove the conversation with all that is in it."""
        self._changes.destroyed = True

    def done(self, result: T) -> Changes[T]:
        """The gathered changes; nothing may be added any more."""
        changes = self._changes
        changes.result = result
        if self.conversation is not self._before:
            changes.conversation = self.conversation
        if self._members:
            changes.members = tuple(self._members.values())
        if self._pointers:
            changes.pointers = tuple(self._pointers.values())
        if self._legs:
            changes.legs = tuple(self._legs.values())
        return changes


def leg_signal(old: Leg | None, leg: Leg) -> LegSignal:
    """What a leg's change from ``old`` is called."""
    if old is None:
        return LegStarted(leg.application_id, leg)
    return (LegUpdated if leg.is_live else LegTerminated)(leg.application_id, leg)


def expiry(properties: JSONObject, since: datetime) -> datetime | None:
    """When a conversation that is empty ``since`` then goes; ``None`` for never."""
    ttl = check_ttl(properties)
    if ttl is None:
        return None
    try:
        return since + timedelta(milliseconds=round(ttl * 1000))
    except OverflowError:
        return None
