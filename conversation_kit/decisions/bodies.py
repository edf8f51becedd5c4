"""The bodies of the events that the kit itself appends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from conversation_kit.domain.event_types import is_recorded
from conversation_kit.domain.models import Conversation, JSONObject, Leg, Member, User
from conversation_kit.domain.values.times import to_text

_KEPT = frozenset({"id", "user_id", "member_id", "leg_id", "event_id", "invited_by", "invited_by_member", "status", "state", "direction"})


def times(**instants: datetime | None) -> dict[str, str]:
    """Return the instants that are set, as the API writes them."""
    return {name: to_text(instant) for name, instant in instants.items() if instant is not None}


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are set."""
    return {name: value for name, value in values.items() if value is not None}


def member_timestamp(member: Member) -> dict[str, str]:
    """Return the times at which the member reached each of its states."""
    return times(invited=member.invited, joined=member.joined, left=member.left)


def has_audio(member: Member) -> bool:
    """Tell whether the member's media has audio enabled."""
    settings = (member.media or {}).get("audio_settings")
    return isinstance(settings, dict) and settings.get("enabled") is True


def member_invited(conversation: Conversation, member: Member, user: User, inviter: Member | None) -> JSONObject:
    """Return the body of ``member:invited``."""
    return {
        "cname": conversation.name,
        "conversation": without_none(
            conversation_id=conversation.id,
            name=conversation.name,
            display_name=conversation.display_name,
            image_url=conversation.image_url,
        ),
        "invited_by": member.invited_by,
        **without_none(invited_by_member=inviter.id if inviter else None),
        "member_id": member.id,
        "user": without_none(
            member_id=member.id, id=user.id, user_id=user.id, name=user.name, display_name=user.display_name, media=member.media
        ),
        "channel": member.channel,
        "media": _invited_media(member),
        "timestamp": member_timestamp(member),
        "initiator": member.initiator,
    }


def member_joined(member: Member, user: User) -> JSONObject:
    """Return the body of ``member:joined``."""
    return {
        "member_id": member.id,
        "user": without_none(id=user.id, user_id=user.id, name=user.name, display_name=user.display_name),
        "channel": member.channel,
        "timestamp": member_timestamp(member),
        "initiator": member.initiator,
    }


def member_left(member: Member, code: str | None, text: str | None) -> JSONObject:
    """Return the body of ``member:left``; without ``timestamp.joined`` it was an invitation declined."""
    reason = without_none(code=code, text=text)
    return {
        "member_id": member.id,
        "user": {"id": member.user_id, "user_id": member.user_id, "name": member.user_name},
        "channel": member.channel,
        "timestamp": member_timestamp(member),
        "initiator": member.initiator,
        **({"reason": reason} if reason else {}),
    }


def emptied(type: str, body: JSONObject, deleted: datetime) -> JSONObject:
    """Return what is left of an event's body when it is deleted (deleteEvent; docs/api.md, Events).

    Nothing of what a client wrote. Of the kit's own records, which tell who is a member, the ids and states.
    """
    if not is_recorded(type):
        return {"timestamp": times(deleted=deleted)}
    user = body.get("user")
    kept: dict[str, Any] = {name: value for name, value in body.items() if name in _KEPT and isinstance(value, str)}
    if isinstance(user, Mapping):
        kept["user"] = {name: value for name, value in user.items() if name in _KEPT}
    return {**kept, "timestamp": {**body.get("timestamp", {}), **times(deleted=deleted)}}


def member_banned(user: User, initiator: JSONObject, at: datetime, reason: str | None) -> JSONObject:
    """Return the body of ``member:banned``."""
    return {
        "user": {"id": user.id, "user_id": user.id, "name": user.name},
        "timestamp": times(banned=at),
        "initiator": {"banned": initiator},
        **({"reason": {"text": reason}} if reason else {}),
    }


def member_unbanned(user: User, initiator: JSONObject, at: datetime) -> JSONObject:
    """Return the body of ``member:unbanned``."""
    return {
        "user": {"id": user.id, "user_id": user.id, "name": user.name},
        "timestamp": times(unbanned=at),
        "initiator": {"unbanned": initiator},
    }


def media(member: Member) -> dict[str, Any]:
    """Return a member's media with the older ``audio`` flag beside it."""
    return {**(member.media or {}), "audio": has_audio(member)}


def _invited_media(member: Member) -> dict[str, Any]:
    """Return a member's media with all of its audio settings: clients read those of invitations without asking whether they are there."""
    settings = (member.media or {}).get("audio_settings")
    known = {"enabled": False, "earmuffed": False, "muted": False}
    return {**media(member), "audio_settings": {**known, **(settings if isinstance(settings, dict) else {})}}


def member_media(member: Member, initiator: JSONObject) -> JSONObject:
    """Return the body of ``member:media``: the member's media as it is now, and the initiator of the change."""
    return {
        "member_id": member.id,
        "audio": has_audio(member),
        "media": media(member),
        "channel": member.channel,
        "initiator": {"media": initiator},
    }


def conversation_updated(conversation: Conversation, initiator: JSONObject) -> JSONObject:
    """Return the body of ``conversation:updated``; ``initiator`` is who did it."""
    return {
        **without_none(
            id=conversation.id,
            name=conversation.name,
            display_name=conversation.display_name,
            image_url=conversation.image_url,
        ),
        "timestamp": times(created=conversation.created, updated=conversation.updated),
        "initiator": {"updated": initiator},
    }


def leg_status(leg: Leg) -> JSONObject:
    """Return the body of ``leg:status:update``.

    Steps of a leg that was moved since name the conversation and the member of then.
    """
    now = without_none(conversation_id=leg.conversation_id, member_id=leg.member_id)
    return {
        "leg_id": leg.id,
        "type": leg.type,
        "direction": leg.direction,
        "status": leg.status.value,
        **({} if leg.is_live else {"state": "terminated"}),
        "statusHistory": [{**step, **({} if "conversation_id" in step else now)} for step in leg.history],
    }


def transfer(leg: Leg, old: Leg) -> JSONObject:
    """Return the body of ``rtc:transfer``, for the conversation that ``leg`` is in now or that it has left."""
    return {
        **without_none(leg_id=leg.id, was_member=old.member_id, transferred_from=old.conversation_id if leg.conversation_id else None),
        "channel": {"type": leg.type, "id": leg.id, "from": leg.sender, "to": leg.to},
    }


def hangup(leg: Leg, reason: str) -> JSONObject:
    """Return the body of ``rtc:hangup`` and ``sip:hangup``."""
    return {
        "leg_id": leg.id,
        "direction": leg.direction,
        "channel": {"type": leg.type, "id": leg.id, "from": leg.sender, "to": leg.to},
        "reason": {"text": reason},
    }
