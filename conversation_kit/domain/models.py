"""The nouns of the API as immutable values.

Times are timezone-aware UTC ``datetime`` objects with millisecond precision. JSON objects are plain
mappings; nobody changes one in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from conversation_kit.domain.values.immutable import immutable

JSONObject: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody of one application. ``name`` is unique there and is what a token's ``sub`` carries.

    Tokens that were made before ``tokens_since`` are revoked.
    """

    application_id: str
    id: str
    name: str
    created: datetime
    display_name: str | None = None
    image_url: str | None = None
    channels: JSONObject = field(default_factory=dict)
    updated: datetime | None = None
    tokens_since: datetime | None = None
    properties: JSONObject = field(default_factory=dict)


@dataclass(frozen=True)
class Conversation:
    """One conversation and the counters that are kept with it.

    ``sequence_number`` is the id of its last event, 0 when there is none. ``active_members`` counts the
    invited and joined members, ``joined_members`` the joined ones, ``messages`` the messages so far, deleted ones
    included (see ``is_message``). ``expires_at`` is set while a conversation that has a ``ttl`` is empty; from that
    instant on it does not exist for anybody.
    """

    application_id: str
    id: str
    name: str
    created: datetime
    display_name: str | None = None
    image_url: str | None = None
    numbers: JSONObject = field(default_factory=dict)
    properties: JSONObject = field(default_factory=dict)
    created_by: str | None = None
    sequence_number: int = 0
    active_members: int = 0
    joined_members: int = 0
    updated: datetime | None = None
    destroyed: datetime | None = None
    expires_at: datetime | None = None
    messages: int = 0


class MemberState(StrEnum):
    """The states a membership passes through; ``left`` is final."""

    INVITED = "invited"
    JOINED = "joined"
    LEFT = "left"


ACTIVE = frozenset({MemberState.INVITED, MemberState.JOINED})


@immutable
class Pointer:
    """Position up to which a member has read: the event ``seen``. ``seen_messages`` of the conversation's messages lie there or before."""

    member_id: str
    seen: int
    seen_messages: int


@dataclass(frozen=True)
class Member:
    """One user's membership in one conversation over one channel.

    ``channel`` always has a ``type``; ``leg_id`` and ``leg_ids`` in it are the server's.
    ``initiator`` tells per state who brought the member there (``{"joined": {"isSystem": true}}``).
    ``user_name``, ``display_name`` and ``image_url`` are those of the user, and follow when the user changes.
    ``invited_by`` is the inviter's user id, ``None`` when an admin invited. ``since`` is the id of the event with which
    the membership began, 0 when that was before there were pointers; ``seen`` and ``seen_messages`` are as in ``Pointer``.
    """

    application_id: str
    conversation_id: str
    id: str
    user_id: str
    user_name: str
    state: MemberState
    channel: JSONObject
    created: datetime
    initiator: JSONObject = field(default_factory=dict)
    media: JSONObject | None = None
    invited_by: str | None = None
    invited: datetime | None = None
    joined: datetime | None = None
    left: datetime | None = None
    display_name: str | None = None
    image_url: str | None = None
    since: int = 0
    seen: int = 0
    seen_messages: int = 0

    @property
    def is_active(self) -> bool:
        """True while the member is invited or joined."""
        return self.state is not MemberState.LEFT

    @property
    def channel_type(self) -> str:
        """``app``, ``phone``, ``sip``, ``websocket`` or ``vbc``."""
        return str(self.channel["type"])


def unread(conversation: Conversation, member: Member) -> int:
    """Return the number of the conversation's messages after the member's read pointer; both are of one instant."""
    return conversation.messages - member.seen_messages


class ExclusionKind(StrEnum):
    """Why somebody may not join: ``removed`` ends with the next invitation, ``banned`` with one by an admin."""

    REMOVED = "removed"
    BANNED = "banned"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A user who may not join a conversation of their own accord. There is at most one for each conversation and user.

    ``excluded_by`` is the id of the user who saw to it, ``None`` for an admin. ``reason`` is text for people.
    """

    application_id: str
    conversation_id: str
    user_id: str
    kind: ExclusionKind
    created: datetime
    excluded_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A user who wants no invitations from another one, whose id is ``blocked_id``."""

    application_id: str
    user_id: str
    blocked_id: str
    created: datetime


JoinPolicy: TypeAlias = Literal["anyone", "invited"]
"""Users who may join a conversation of their own accord: all users of the application that know its id, or those who are invited."""


class ReceiptKind(StrEnum):
    """Kind of a receipt: delivered or seen. The values are the keys of an event's ``state``."""

    DELIVERED = "delivered_to"
    SEEN = "seen_by"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Notice that a member got or saw an event; ``receipt_id`` is the id of the event that said so."""

    conversation_id: str
    event_id: int
    member_id: str
    kind: ReceiptKind
    timestamp: datetime
    receipt_id: int


class LegStatus(StrEnum):
    """The status of a call leg."""

    STARTED = "started"
    RINGING = "ringing"
    ANSWERED = "answered"
    MACHINE = "machine"
    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNANSWERED = "unanswered"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


LIVE = frozenset({LegStatus.STARTED, LegStatus.RINGING, LegStatus.ANSWERED, LegStatus.MACHINE})


@dataclass(frozen=True, slots=True)
class Leg:
    """One connection of a user over one channel.

    A leg outside any conversation is a knocker's: it has a ``knocking_id`` until a member joins with it.
    ``duration`` is in seconds; ``price`` and ``rate`` are decimal strings; ``history`` lists
    ``{"status", "date"}`` in the order in which the statuses were reached.
    """

    application_id: str
    id: str
    type: str
    status: LegStatus
    direction: str
    created: datetime
    session_id: str
    conversation_id: str | None = None
    member_id: str | None = None
    knocking_id: str | None = None
    sender: JSONObject = field(default_factory=dict)
    to: JSONObject = field(default_factory=dict)
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration: int | None = None
    rate: str | None = None
    price: str | None = None
    network: str | None = None
    history: Sequence[JSONObject] = ()

    @property
    def is_live(self) -> bool:
        """True until the leg has ended."""
        return self.status in LIVE
