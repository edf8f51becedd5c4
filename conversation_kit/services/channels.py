"""A member's channel and the legs that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from conversation_kit.domain import bodies
from conversation_kit.domain.errors import Conflict, InvalidInput, NotFound, leg_not_found
from conversation_kit.domain.models import JSONObject, Leg, Member
from conversation_kit.domain.scene import Draft, Scene
from conversation_kit.domain.values import MAX_LEGS, check_text
from conversation_kit.services.legs import new_leg, with_leg

_LEG_KEYS = ("leg_id", "leg_ids", "id", "legs", "knocking_id")


def without_legs(channel: JSONObject) -> JSONObject:
    """The channel without what the server decides: its legs."""
    return {key: value for key, value in channel.items() if key not in _LEG_KEYS}


def named_legs(channel: JSONObject) -> tuple[str, ...]:
    """The ids of the legs that a channel names: ``leg_id``, and ``leg_ids`` as objects or plain strings."""
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
        check_text("channel.leg_id", id)
    return tuple(dict.fromkeys(ids))


def connect(
    scene: Scene, draft: Draft, member: Member, channel: JSONObject, knocking_id: str | None, *, free: bool
) -> tuple[Member, list[Leg]]:
    """The member with its legs in its channel, and the legs that are new to it.

    A knocker's leg is taken over; a leg that the channel names must be free or this member's own, and only an admin names new ones;
    a phone, sip, websocket or vbc channel, and an app channel with audio enabled, starts a leg if the member has none.
    """
    legs: list[Leg] = []
    if knocking_id is not None:
        knocker = next((leg for leg in scene.legs if leg.knocking_id == knocking_id), None)
        if knocker is None or not knocker.is_live:
            raise NotFound(f"Nobody is knocking with the id {knocking_id!r}.", "knocking:error:not-found")
        legs.append(knocker)
        member = replace(member, channel={**member.channel, "knocking_id": knocking_id})

    def fresh(id: str | None = None) -> Leg:
        ends = member.channel
        return new_leg(member.application_id, member.channel_type, draft.now, id=id, sender=ends.get("from"), to=ends.get("to"))

    for id in named_legs(channel):
        leg = scene.leg(id)
        if leg is None:
            if not free:
                raise leg_not_found(id)
            leg = fresh(id)
        elif leg.member_id == member.id:
            continue
        elif not leg.is_live or leg.member_id is not None or leg.conversation_id not in (None, member.conversation_id):
            raise Conflict(f"The leg {id!r} is another member's or has ended.", "leg:error:invalid-action")
        elif leg.knocking_id is not None and not free and leg not in legs:
            raise leg_not_found(id)
        if leg not in legs:
            legs.append(leg)
    if not legs and "leg_id" not in member.channel and (member.channel_type != "app" or bodies.has_audio(member)):
        legs.append(fresh())
    taken = [replace(leg, conversation_id=member.conversation_id, member_id=member.id, knocking_id=None) for leg in legs]
    for leg in taken:
        member = replace(member, channel=with_leg(member.channel, leg.id))
    return member, taken
