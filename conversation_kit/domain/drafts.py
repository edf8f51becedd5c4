"""Draft of the changes that a decision makes: events get the next ids, and members, legs and counters follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from conversation_kit.domain.events import Event
from conversation_kit.domain.models import (
    ACTIVE,
    Conversation,
    Exclusion,
    JSONObject,
    Leg,
    Member,
    MemberState,
    Pointer,
    Receipt,
)
from conversation_kit.domain.rules import require_conversation
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.signals import EventCreated, LegSignal, LegStarted, LegTerminated, LegUpdated, Signal
from conversation_kit.domain.values.checks import check_ttl

T = TypeVar("T")


class Draft:
    """Draft of the changes that one decision makes in one conversation at one instant."""

    __slots__ = ("_before", "_changes", "_legs", "_members", "_pointers", "conversation", "now", "scene")

    def __init__(self, scene: Scene, now: datetime) -> None:
        """Raise ``NotFound`` when the conversation does not exist or has expired by ``now``."""
        self.scene = scene
        self.now = now
        self.conversation = require_conversation(scene, now)
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

    def send_ephemeral(self, type: str, body: JSONObject, *, sender: str | None = None, to: str | None = None) -> Event:
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
        """Make an event of this conversation, without appending it."""
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

    def uncount(self, event_id: int) -> None:
        """Let a message count no more as unread for the members in the scene that have not read it; ``Needs.behind`` brings them all."""
        self._changes.deleted = (*self._changes.deleted, event_id)
        for member in self.scene.members:
            if member.is_active and member.seen < event_id:
                self._pointers[member.id] = Pointer(member.id, member.seen, member.seen_messages + 1)

    def receipt(self, receipt: Receipt) -> None:
        """Note that an event got to a member."""
        self._changes.receipts = (*self._changes.receipts, receipt)

    def exclude(self, exclusion: Exclusion) -> None:
        """Keep a user out of the conversation."""
        self._changes.exclusions = (*self._changes.exclusions, exclusion)

    def lift(self, user_id: str) -> None:
        """Let a user in again."""
        self._changes.lifted = (*self._changes.lifted, user_id)

    def announce(self, signal: Signal) -> None:
        """Tell receivers after the commit."""
        self._changes.signals = (*self._changes.signals, signal)

    def update(self, **changes: Any) -> None:
        """Change attributes of the conversation."""
        self.conversation = replace(self.conversation, **changes)

    def member(self, member_id: str) -> Member | None:
        """Return a member as this draft leaves it."""
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
        """Return the member with a membership that begins at the next event: everything said before does not count for it."""
        conversation = self.conversation
        since = conversation.sequence_number + 1
        return replace(member, since=since, seen=since, seen_messages=conversation.messages)

    def see(self, member: Member, event: Event) -> None:
        """Move the read pointer of a member in the scene on to an event of the log; it never moves back, nor does its count."""
        id, saved, moved = member.id, self._members.get(member.id), self._pointers.get(member.id)
        last = moved or saved or member
        assert event.id is not None
        if event.id <= last.seen:
            return
        messages = max(last.seen_messages, event.messages)
        if saved is not None:
            self._members[id] = at_pointer(saved, event.id, messages)
        else:
            self._pointers[id] = Pointer(id, event.id, messages)

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
        """Return the gathered changes; nothing may be added any more."""
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


def at_sequence(conversation: Conversation, sequence_number: int, messages: int) -> Conversation:
    """Return the conversation as it is when the last event has this id, and so many events are messages."""
    # What dataclasses.replace does, at a tenth of the time: this happens for every message.
    copy = object.__new__(Conversation)
    object.__setattr__(copy, "__dict__", {**conversation.__dict__, "sequence_number": sequence_number, "messages": messages})
    return copy


def at_pointer(member: Member, seen: int, seen_messages: int) -> Member:
    """Return the member as it is when it has read so far."""
    # As above: this happens for every message too.
    copy, values = object.__new__(Member), member.__dict__.copy()
    values["seen"], values["seen_messages"] = seen, seen_messages
    object.__setattr__(copy, "__dict__", values)
    return copy


def leg_signal(old: Leg | None, leg: Leg) -> LegSignal:
    """Return the signal for a leg's change from ``old``: it is started once, and terminated once."""
    if old is None:
        return LegStarted(leg.application_id, leg)
    return (LegTerminated if old.is_live and not leg.is_live else LegUpdated)(leg.application_id, leg)


def expiry(properties: JSONObject, since: datetime) -> datetime | None:
    """Return the time at which a conversation that is empty ``since`` then goes; ``None`` for never."""
    ttl = check_ttl(properties)
    if ttl is None:
        return None
    try:
        return since + timedelta(milliseconds=round(ttl * 1000))
    except OverflowError:
        return None
