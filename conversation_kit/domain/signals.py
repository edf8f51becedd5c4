"""Signals that are announced to receivers after the commit.

Every signal names its application; models are as they were right after the change.
"""

from __future__ import annotations

from typing import TypeAlias

from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Leg, Member, User
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.values.immutable import immutable


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
    """A live leg moved on or was moved, or the carrier said more of one, such as the price of one that has ended."""


@immutable
class LegTerminated(LegSignal):
    """A leg ended, once; ``leg.status`` says how."""


@immutable
class RequestRefused:
    """Somebody was refused something, over HTTP or a WebSocket: with 401, 403 or 429.

    Nothing was committed, so it is no ``Signal``: receivers of all signals are not told of it.

    ``principal`` is ``None`` for somebody whom nobody knows, and then ``application_id`` is empty. ``operation`` is the operationId of the
    API if it was known so far. ``unrecorded`` is how many refusals before this one were too many to be told.
    """

    application_id: str
    principal: Principal | None
    operation: str | None
    code: str
    status: int
    unrecorded: int = 0


Announcement: TypeAlias = Signal | RequestRefused
"""Signal or refused request that receivers can be told of."""
