"""A conversation without a storage: the state that decisions see, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from conversation_kit.domain.drafts import at_pointer
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import ACTIVE, Conversation, Exclusion, Leg, Member, MemberState, User
from conversation_kit.domain.principals import DEFAULT_POLICY, Actor, Policy, Principal
from conversation_kit.domain.scene import NO_INVITATIONS, Changes, Invitations, Scene
from conversation_kit.domain.values.moments import Moment

T = TypeVar("T")
APP = "app"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_user(name: str) -> User:
    """Return the user of this name."""
    return User(APP, f"USR-{name}", name, NOW - timedelta(days=1))


def admin(policy: Policy = DEFAULT_POLICY) -> Actor:
    """Return the application itself."""
    return Actor(Principal(APP), True, policy)


def acting(name: str, policy: Policy = DEFAULT_POLICY, *, free: bool = False) -> Actor:
    """Return a user who acts."""
    return Actor(Principal(APP, name), free, policy)


@dataclass
class Room:
    """One conversation with all that is in it; every scene shows everything."""

    conversation: Conversation | None = field(default_factory=lambda: Conversation(APP, "CON-1", "room", NOW))
    members: dict[str, Member] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    exclusions: dict[str, Exclusion] = field(default_factory=dict)
    invitations: Invitations = NO_INVITATIONS
    now: datetime = NOW

    def scene(self, actor: Actor, user: str | None = None) -> Scene:
        """Return what a decision sees of it: ``user`` is the name of the user acted upon."""
        name = actor.principal.user_name
        return Scene(
            self.conversation,
            a_user(name) if name is not None else None,
            a_user(user) if user is not None else None,
            list(self.members.values()),
            dict(self.events),
            list(self.legs.values()),
            self.exclusions.get(f"USR-{user}"),
            self.invitations,
        )

    def take(self, decision: Callable[..., Changes[T]], command: object, actor: Actor, user: str | None = None, **bound: Any) -> Changes[T]:
        """Take a decision a second after the last one, and keep what it changes."""
        self.now += timedelta(seconds=1)
        changes = decision(self.scene(actor, user), command, actor, Moment(self.now), **bound)
        self.keep(changes)
        return changes

    def keep(self, changes: Changes[Any]) -> None:
        """Let the changes be what there is, as a storage does."""
        self.conversation = None if changes.destroyed else changes.conversation or self.conversation
        self.members.update({member.id: member for member in changes.members})
        for pointer in changes.pointers:
            self.members[pointer.member_id] = at_pointer(self.members[pointer.member_id], pointer.seen, pointer.seen_messages)
        for event in (*changes.events, *changes.rewritten):
            assert event.id is not None
            known = self.events.get(event.id, event)
            self.events[event.id] = replace(event, receipts=known.receipts, messages=known.messages)
        for id in changes.deleted:
            self.events.update({at: replace(one, messages=one.messages + 1) for at, one in self.events.items() if at < id})
        for receipt in changes.receipts:
            event = self.events[receipt.event_id]
            self.events[receipt.event_id] = replace(event, receipts=(*event.receipts, receipt))
        self.exclusions.update({exclusion.user_id: exclusion for exclusion in changes.exclusions})
        for user_id in changes.lifted:
            del self.exclusions[user_id]
        self.legs.update({leg.id: leg for leg in changes.legs})
        for id_of_leg in changes.removed_legs:
            del self.legs[id_of_leg]

    def put(self, name: str, state: MemberState = MemberState.JOINED, **values: Any) -> Member:
        """Let a user be a member, without an event of it."""
        assert self.conversation is not None
        kind = values.get("channel", {"type": "app"})["type"]
        member = Member(
            APP,
            self.conversation.id,
            f"MEM-{name}-{kind}",
            f"USR-{name}",
            name,
            state,
            **{"channel": {"type": "app"}, "created": NOW, state.value: NOW, **values},
        )
        self.members[member.id] = member
        self.conversation = replace(
            self.conversation,
            active_members=sum(one.state in ACTIVE for one in self.members.values()),
            joined_members=sum(one.state is MemberState.JOINED for one in self.members.values()),
        )
        return member

    def types(self) -> list[str]:
        """Return the types of the events, in their order."""
        return [self.events[id].type for id in sorted(self.events)]


def room_of(*names: str, **values: Any) -> Room:
    """Return a room in which these users are joined over the app; ``values`` are the conversation's."""
    room = Room(Conversation(APP, "CON-1", "room", NOW, **values))
    for name in names:
        room.put(name)
    return room
