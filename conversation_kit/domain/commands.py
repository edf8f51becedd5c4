"""Commands to a conversation backend: the values that ``before`` hooks see and may change.

``UNCHANGED`` marks what an update leaves as it is; ``None`` clears it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypeVar

from conversation_kit.domain.models import JSONObject, LegStatus
from conversation_kit.domain.values.immutable import immutable


class _Unchanged(Enum):
    UNCHANGED = "unchanged"


UNCHANGED: Final = _Unchanged.UNCHANGED
Unchanged: TypeAlias = Literal[_Unchanged.UNCHANGED]
T = TypeVar("T")
Maybe: TypeAlias = T | Unchanged


class Command:
    """Something that would change the store."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CreateConversation(Command):
    """``name`` is generated when absent or empty."""

    name: str | None = None
    display_name: str | None = None
    image_url: str | None = None
    numbers: JSONObject = field(default_factory=dict)
    properties: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateConversation(Command):
    """Merge: what is ``UNCHANGED`` stays, ``None`` clears; an empty ``name`` stays too, since there must be one.

    ``numbers`` and ``properties`` are merged key by key.
    """

    conversation_id: str
    name: Maybe[str] = UNCHANGED
    display_name: Maybe[str | None] = UNCHANGED
    image_url: Maybe[str | None] = UNCHANGED
    numbers: Maybe[JSONObject | None] = UNCHANGED
    properties: Maybe[JSONObject | None] = UNCHANGED


@dataclass(frozen=True, slots=True)
class DeleteConversation(Command):
    """Remove a conversation with its members and events. ``is_expiry``: its ``ttl`` has run out, and nobody asked at this moment."""

    conversation_id: str
    is_expiry: bool = False


@dataclass(frozen=True, slots=True)
class CreateUser(Command):
    """``name`` is generated when absent or empty."""

    name: str | None = None
    display_name: str | None = None
    image_url: str | None = None
    channels: JSONObject = field(default_factory=dict)
    properties: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateUser(Command):
    """Merge: what is ``UNCHANGED`` stays, ``None`` clears; an empty ``name`` stays too, since there must be one.

    ``channels`` and ``properties`` are merged key by key.
    """

    user_id: str
    name: Maybe[str] = UNCHANGED
    display_name: Maybe[str | None] = UNCHANGED
    image_url: Maybe[str | None] = UNCHANGED
    channels: Maybe[JSONObject | None] = UNCHANGED
    properties: Maybe[JSONObject | None] = UNCHANGED


@dataclass(frozen=True, slots=True)
class DeleteUser(Command):
    """Remove a user, who leaves every conversation first."""

    user_id: str


@dataclass(frozen=True, slots=True)
class InviteMember(Command):
    """Make a user (by id or name) an invited member over ``channel``."""

    conversation_id: str
    user_id: str | None = None
    user_name: str | None = None
    channel: JSONObject = field(default_factory=lambda: {"type": "app"})
    media: JSONObject | None = None
    member_id_inviting: str | None = None
    knocking_id: str | None = None


@dataclass(frozen=True, slots=True)
class JoinMember(Command):
    """Make a user a joined member; with ``member_id`` the invitation which that member holds is accepted.

    ``channel`` is ``None`` when the invitation's channel stays as it is.
    """

    conversation_id: str
    user_id: str | None = None
    user_name: str | None = None
    member_id: str | None = None
    channel: JSONObject | None = None
    media: JSONObject | None = None
    member_id_inviting: str | None = None
    knocking_id: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveMember(Command):
    """Leave, decline or kick: the member's state becomes ``left``.

    ``sender`` is the id of the member on whose behalf it happens, when the caller names one. Who was joined and is removed by
    somebody else needs an invitation to join again, unless ``may_return``.
    """

    conversation_id: str
    member_id: str
    sender: str | None = None
    reason_code: str | None = None
    reason_text: str | None = None
    may_return: bool = False


@dataclass(frozen=True, slots=True)
class BanMember(Command):
    """Remove a user (by id or name), a member or not, and keep them out until an admin lets them in."""

    conversation_id: str
    user_id: str | None = None
    user_name: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UnbanMember(Command):
    """Let a user (by id or name) join again."""

    conversation_id: str
    user_id: str | None = None
    user_name: str | None = None


@dataclass(frozen=True, slots=True)
class BlockUser(Command):
    """Let a user get no invitations from another one."""

    user_id: str
    blocked_id: str


@dataclass(frozen=True, slots=True)
class UnblockUser(Command):
    """Let a user get invitations from another one again."""

    user_id: str
    blocked_id: str


@immutable
class CreateEvent(Command):
    """Append an event of a client's type; ``sender`` and ``to`` are member ids."""

    conversation_id: str
    type: str
    body: JSONObject = field(default_factory=dict)
    sender: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteEvent(Command):
    """Empty an event and append ``event:delete``; ``sender`` is the deleting member's id."""

    conversation_id: str
    event_id: int
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class StartLeg(Command):
    """Start a leg for a member, or a knocker's when there is no ``conversation_id`` yet."""

    type: str
    conversation_id: str | None = None
    member_id: str | None = None
    direction: str = "outbound"
    sender: JSONObject = field(default_factory=dict)
    to: JSONObject = field(default_factory=dict)
    leg_id: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateLeg(Command):
    """Move a leg on to another status and note what the carrier told of it."""

    leg_id: str
    status: LegStatus | None = None
    rate: str | None = None
    price: str | None = None
    network: str | None = None
    duration: int | None = None


@dataclass(frozen=True, slots=True)
class MoveLeg(Command):
    """Move a live leg into a conversation, as that of a member if one is named."""

    leg_id: str
    conversation_id: str
    member_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteLeg(Command):
    """Hang a live leg up, or take an ended one off the list."""

    leg_id: str


def changed(command: Command, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes among ``names`` that an update does not leave unchanged."""
    values = {name: getattr(command, name) for name in names}
    return {name: value for name, value in values.items() if value is not UNCHANGED and not (name == "name" and value == "")}
