"""Channels of members: their types, and the legs that they list (docs/api.md, Legs)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.legs import check_leg_id
from conversation_kit.domain.models import JSONObject
from conversation_kit.domain.values.checks import MAX_LEGS

APP: JSONObject = {"type": "app"}
"""The channel of who names none."""

CHANNEL_TYPES = ("app", "phone", "sip", "websocket", "vbc")
_LEG_KEYS = ("leg_id", "leg_ids", "id", "legs", "knocking_id")


def check_channel(channel: JSONObject) -> None:
    """Raise ``InvalidInput`` unless a channel's type, and those of its ends, are known ones."""
    for name, part in (("channel", channel), ("channel.from", channel.get("from")), ("channel.to", channel.get("to"))):
        if part is None:
            continue
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind is None and name != "channel" and isinstance(part, Mapping):
            continue
        if kind not in CHANNEL_TYPES:
            raise InvalidInput({f"{name}.type": f"must be one of {', '.join(CHANNEL_TYPES)}"}, "conversation:error:invalid-channel")


def without_legs(channel: JSONObject) -> JSONObject:
    """Return the channel without its legs, which the server decides."""
    return {key: value for key, value in channel.items() if key not in _LEG_KEYS}


def named_legs(channel: JSONObject) -> tuple[str, ...]:
    """Return the ids of the legs that a channel names: ``leg_id``, and ``leg_ids`` as objects or plain strings."""
    listed = channel.get("leg_ids") or ()
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InvalidInput({"channel.leg_ids": "must be a list"}, "conversation:error:invalid-channel")
    found = [channel.get("leg_id"), *(entry.get("leg_id") if isinstance(entry, dict) else entry for entry in listed)]
    ids = [id for id in found if id]
    if len(ids) > MAX_LEGS + 1:
        raise InvalidInput({"channel.leg_ids": f"may name {MAX_LEGS} legs"}, "conversation:error:invalid-channel")
    for id in ids:
        if not isinstance(id, str):
            raise InvalidInput({"channel.leg_ids": "must name legs by their ids"}, "conversation:error:invalid-channel")
        check_leg_id("channel.leg_id", id)
    return tuple(dict.fromkeys(ids))


def with_leg(channel: JSONObject, leg_id: str, live: Collection[str]) -> JSONObject:
    """Return the channel with a further leg; ``live`` are the ids of legs that have not ended.

    ``leg_id`` in it names the main leg, which is listed first: the one that was, while it is live, and then the new one.
    The latest 16 are listed.
    """
    legs = [leg for leg in channel.get("leg_ids", ()) if leg["leg_id"] != leg_id]
    main = channel.get("leg_id")
    if main in live and main != leg_id:
        legs.append({"leg_id": leg_id})
        return {**channel, "leg_ids": [*legs[:1], *legs[1:][-(MAX_LEGS - 1) :]]}
    return {**channel, "leg_id": leg_id, "leg_ids": [{"leg_id": leg_id}, *legs[: MAX_LEGS - 1]]}


def without_leg(channel: JSONObject, leg_id: str) -> JSONObject:
    """Return the channel without one of its legs."""
    legs = [leg for leg in channel.get("leg_ids", ()) if leg["leg_id"] != leg_id]
    rest = {name: value for name, value in channel.items() if name not in ("leg_id", "leg_ids")}
    return {**rest, "leg_id": legs[0]["leg_id"], "leg_ids": legs} if legs else rest
