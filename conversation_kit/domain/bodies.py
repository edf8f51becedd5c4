"""The bodies of the events that the kit itself appends (SEMANTICS 2.4, 3.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from conversation_kit.domain.models import Conversation, JSONObject, Leg, Member, User
from conversation_kit.domain.times import to_text


def times(**instants: datetime | None) -> dict[str, str]:
    """The instants that are set, as the API writes them."""
    return {name: to_text(instant) for name, instant in instants.items() if instant is not None}


def without_none(**values: Any) -> dict[str, Any]:
    """The values that are set."""
    return {name: value for name, value in values.items() if value is not None}


def member_timestamp(member: Member) -> dict[str, str]:
    """When the member reached each of its states."""
    return times(invited=member.invited, joined=member.joined, left=member.left)


def has_audio(member: Member) -> bool:
    """Whether the member's media has audio enabled."""
    settings = (member.media or {}).get("audio_settings")
    return isinstance(settings, dict) and settings.get("enabled") is True


def member_invited(conversation: Conversation, member: Member, user: User, inviter: Member | None) -> JSONObject:
    """The body of ``member:invited``."""
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
        **without_none(media=media(member) if member.media else None),
        "timestamp": member_timestamp(member),
        "initiator": member.initiator,
    }


def member_joined(member: Member, user: User) -> JSONObject:
    """The body of ``member:joined``."""
    return {
        "member_id": member.id,
        "user": without_none(id=user.id, user_id=user.id, name=user.name, display_name=user.display_name),
        "channel": member.channel,
        "timestamp": member_timestamp(member),
        "initiator": member.initiator,
    }


def member_left(member: Member, code: str | None, text: str | None) -> JSONObject:
    """The body of ``member:left``; without ``timestamp.joined`` it was an invitation declined."""
    reason = without_none(code=code, text=text)
    return {
        "member_id": member.id,
        "user": {"id": member.user_id, "user_id": member.user_id, "name": member.user_name},
        "channel": member.channel,
        "timestamp": member_timestamp(member),
        "initiator": member.initiator,
        **({"reason": reason} if reason else {}),
    }


def media(member: Member) -> dict[str, Any]:
    """A member's media with the older ``audio`` flag beside it."""
    return {**(member.media or {}), "audio": has_audio(member)}


def member_media(member: Member) -> JSONObject:
    """The body of ``member:media``."""
    return {"member_id": member.id, "audio": has_audio(member), "media": media(member), "channel": member.channel}


def conversation_updated(conversation: Conversation) -> JSONObject:
    """The body of ``conversation:updated``."""
    return {
        **without_none(
            id=conversation.id,
            name=conversation.name,
            display_name=conversation.display_name,
            image_url=conversation.image_url,
        ),
        "timestamp": times(created=conversation.created, updated=conversation.updated),
    }


def leg_status(leg: Leg) -> JSONObject:
    """The body of ``leg:status:update``."""
    return {
        "leg_id": leg.id,
        "type": leg.type,
        "direction": leg.direction,
        "status": leg.status.value,
        **({} if leg.is_live else {"state": "terminated"}),
        "statusHistory": [{**step, **without_none(conversation_id=leg.conversation_id, member_id=leg.member_id)} for step in leg.history],
    }


def hangup(leg: Leg, reason: str) -> JSONObject:
    """The body of ``rtc:hangup`` and ``sip:hangup``."""
    return {
        "leg_id": leg.id,
        "direction": leg.direction,
        "channel": {"type": leg.type, "id": leg.id, "from": leg.sender, "to": leg.to},
        "reason": {"text": reason},
    }
