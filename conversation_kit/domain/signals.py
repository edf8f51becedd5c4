"""What happened: announced to receivers after the commit.

Every signal names its application; models are as they were right after the change.
"""

from __future__ import annotations

from conversation_kit.domain.events import Event
from conversation_kit.domain.immutable import immutable
from conversation_kit.domain.models import Conversation, Leg, Member, User


@immutable
class Signal:
    """Something that was committed."""

    application_id: str


@immutable
class ConversationSignal(Signal):
    """Something about a conversation itself."""

    conversation: Conversation


@immutable
class ConversationCreated(ConversationSignal):
    """A conversation exists."""


@immutable
class ConversationUpdated(ConversationSignal):
    """A conversation's own attributes changed."""


@immutable
class ConversationDeleted(ConversationSignal):
    """A conversation is gone with its members and events; ``conversation.destroyed`` says since when."""


@immutable
class UserSignal(Signal):
    """Something about a user."""

    user: User


@immutable
class UserCreated(UserSignal):
    """A user exists."""


@immutable
class UserUpdated(UserSignal):
    """A user's attributes changed."""


@immutable
class UserDeleted(UserSignal):
    """A user is gone."""


@immutable
class MemberSignal(Signal):
    """Something about a membership."""

    member: Member


@immutable
class MemberInvited(MemberSignal):
    """A user was invited."""


@immutable
class MemberJoined(MemberSignal):
    """A user joined, directly or by accepting an invitation."""


@immutable
class MemberLeft(MemberSignal):
    """A member left, was removed, or declined (then ``member.joined`` is ``None``)."""


@immutable
class EventCreated(Signal):
    """An event was appended to a log, by a client or by the kit; or was ephemeral, then it has no id."""

    event: Event


@immutable
class EventDeleted(Signal):
    """``event`` is the tombstone."""

    event: Event


@immutable
class LegSignal(Signal):
    """Something about a leg."""

    leg: Leg


@immutable
class LegStarted(LegSignal):
    """A leg exists; its status is ``started``."""


@immutable
class LegUpdated(LegSignal):
    """A live leg moved on or learnt something about itself."""


@immutable
class LegTerminated(LegSignal):
    """A leg ended; ``leg.status`` says how."""
