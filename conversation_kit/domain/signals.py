"""What happened: announced to receivers after the commit.

Every signal names its application; models are as they were right after the change.
"""

from __future__ import annotations

from dataclasses import dataclass

from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Leg, Member, User


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that was committed."""

    application_id: str


@dataclass(frozen=True, slots=True)
class ConversationSignal(Signal):
    """Something about a conversation itself."""

    conversation: Conversation


@dataclass(frozen=True, slots=True)
class ConversationCreated(ConversationSignal):
    """A conversation exists."""


@dataclass(frozen=True, slots=True)
class ConversationUpdated(ConversationSignal):
    """A conversation's own attributes changed."""


@dataclass(frozen=True, slots=True)
class ConversationDeleted(ConversationSignal):
    """A conversation is gone with its members and events; ``conversation.destroyed`` says since when."""


@dataclass(frozen=True, slots=True)
class UserSignal(Signal):
    """Something about a user."""

    user: User


@dataclass(frozen=True, slots=True)
class UserCreated(UserSignal):
    """A user exists."""


@dataclass(frozen=True, slots=True)
class UserUpdated(UserSignal):
    """A user's attributes changed."""


@dataclass(frozen=True, slots=True)
class UserDeleted(UserSignal):
    """A user is gone."""


@dataclass(frozen=True, slots=True)
class MemberSignal(Signal):
    """Something about a membership."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberInvited(MemberSignal):
    """A user was invited."""


@dataclass(frozen=True, slots=True)
class MemberJoined(MemberSignal):
    """A user joined, directly or by accepting an invitation."""


@dataclass(frozen=True, slots=True)
class MemberLeft(MemberSignal):
    """A member left, was removed, or declined (then ``member.joined`` is ``None``)."""


@dataclass(frozen=True, slots=True)
class EventCreated(Signal):
    """An event was appended to a log, by a client or by the kit; or was ephemeral, then it has no id."""

    event: Event


@dataclass(frozen=True, slots=True)
class EventDeleted(Signal):
    """``event`` is the tombstone."""

    event: Event


@dataclass(frozen=True, slots=True)
class LegSignal(Signal):
    """Something about a leg."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class LegStarted(LegSignal):
    """A leg exists; its status is ``started``."""


@dataclass(frozen=True, slots=True)
class LegUpdated(LegSignal):
    """A live leg moved on or learnt something about itself."""


@dataclass(frozen=True, slots=True)
class LegTerminated(LegSignal):
    """A leg ended; ``leg.status`` says how."""
