"""Decisions on legs, and the legs that come and go with their members."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from conversation_kit.decisions import bodies
from conversation_kit.domain.channels import named_legs, with_leg, without_leg
from conversation_kit.domain.commands import DeleteLeg, MoveLeg, StartLeg, UpdateLeg
from conversation_kit.domain.drafts import Draft, leg_signal
from conversation_kit.domain.errors import Conflict, NotFound, leg_not_found
from conversation_kit.domain.legs import advance, detached, follows, new_leg
from conversation_kit.domain.models import JSONObject, Leg, LegStatus, Member
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.rules import is_expired, require_member, require_present
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.values.moments import Moment

T = TypeVar("T")


def start(scene: Scene, command: StartLeg, actor: Actor, moment: Moment) -> Changes[Leg]:
    """Start a leg in a conversation, of a member or of nobody yet; without a conversation it is a knocker's."""
    id = command.leg_id or (moment.uuid().hex if command.direction == "inbound" else str(moment.uuid()))
    if scene.leg(id) is not None:
        raise Conflict(f"There is a leg {id!r} already.", "leg:error:invalid-action")
    leg = new_leg(actor.application_id, command.type, moment, id=id, direction=command.direction, sender=command.sender, to=command.to)
    if command.conversation_id is None:
        leg = replace(leg, knocking_id=moment.secret())
        return Changes(leg, legs=[leg], signals=[leg_signal(None, leg)])
    draft = Draft(scene, moment.now)
    leg = replace(leg, conversation_id=draft.conversation.id)
    return draft.done(_attach(draft, leg, command.member_id))


def update(scene: Scene, command: UpdateLeg, actor: Actor, moment: Moment) -> Changes[Leg]:
    """Move a leg on, where it is, and note what its carrier says of it."""
    leg = require_leg(scene, command.leg_id)
    told = bodies.without_none(rate=command.rate, price=command.price, network=command.network, duration=command.duration)
    new = advance(leg, command.status, moment.now) if command.status is not None and follows(leg.status, command.status) else leg
    new = replace(new, **told)
    return _replace(scene, leg, new, moment, new)


def delete(scene: Scene, command: DeleteLeg, actor: Actor, moment: Moment) -> Changes[None]:
    """End a live leg where it is, or take an ended one off the list."""
    leg = require_leg(scene, command.leg_id)
    if not leg.is_live:
        return Changes(None, removed_legs=[leg.id])
    return _replace(scene, leg, advance(leg, LegStatus.COMPLETED, moment.now), moment, None)


def detach(scene: Scene, command: MoveLeg, actor: Actor, moment: Moment, *, conversation_id: str | None) -> Changes[None]:
    """Take a leg that moves elsewhere out of the conversation in which it is."""
    leg = require_leg(scene, command.leg_id)
    if require_live(leg).conversation_id != conversation_id:
        raise _moved_meanwhile(leg)
    alone = detached(leg)
    if scene.conversation is None or is_expired(scene.conversation, moment.now):
        return Changes(None, legs=[alone], signals=[leg_signal(leg, alone)])
    draft = Draft(scene, moment.now)
    member = scene.member(leg.member_id) if leg.member_id is not None else None
    if member is not None and member.is_active:
        draft.save_member(replace(member, channel=without_leg(member.channel, leg.id)))
    draft.save_leg(alone)
    draft.append("rtc:transfer", bodies.transfer(alone, leg), sender=leg.member_id)
    return draft.done(None)


def move(scene: Scene, command: MoveLeg, actor: Actor, moment: Moment, *, old: Leg) -> Changes[Leg]:
    """Put a leg that is in no conversation into this one; ``old`` is the leg as it was where it comes from."""
    draft = Draft(scene, moment.now)
    leg = require_leg(scene, command.leg_id)
    if require_live(leg).conversation_id is not None:
        raise _moved_meanwhile(leg)
    leg = _attach(draft, replace(leg, conversation_id=draft.conversation.id, knocking_id=None), command.member_id, moved=True)
    draft.append("rtc:transfer", bodies.transfer(leg, old), sender=leg.member_id)
    return draft.done(leg)


def connect(
    draft: Draft, member: Member, channel: JSONObject, knocking_id: str | None, actor: Actor, moment: Moment
) -> tuple[Member, list[Leg]]:
    """Return the member with its legs in its channel, and the legs that are new to it.

    A knocker's leg is taken over; a leg that the channel names must be free or this member's own, and only an admin names new ones;
    a phone, sip, websocket or vbc channel, and an app channel with audio enabled, starts a leg if the member has none.
    """
    scene = draft.scene
    legs: list[Leg] = []
    if knocking_id is not None:
        knocker = next((leg for leg in scene.legs if leg.knocking_id == knocking_id), None)
        if knocker is None or not knocker.is_live:
            raise NotFound(f"Nobody is knocking with the id {knocking_id!r}.", "knocking:error:not-found")
        legs.append(knocker)
        member = replace(member, channel={**member.channel, "knocking_id": knocking_id})
    for id in named_legs(channel):
        leg = scene.leg(id)
        if leg is None:
            if not actor.is_free:
                raise leg_not_found(id)
            leg = _leg_of(member, moment, id)
        elif leg.member_id == member.id:
            continue
        elif not leg.is_live or leg.member_id is not None or leg.conversation_id not in (None, member.conversation_id):
            raise Conflict(f"The leg {id!r} is another member's or has ended.", "leg:error:invalid-action")
        elif leg.knocking_id is not None and not actor.is_free and leg not in legs:
            raise leg_not_found(id)
        if leg not in legs:
            legs.append(leg)
    if not legs and "leg_id" not in member.channel and (member.channel_type != "app" or bodies.has_audio(member)):
        legs.append(_leg_of(member, moment))
    taken = [replace(leg, conversation_id=member.conversation_id, member_id=member.id, knocking_id=None) for leg in legs]
    live = {leg.id for leg in scene.legs if leg.is_live}
    for leg in taken:
        member = replace(member, channel=with_leg(member.channel, leg.id, live))
        live.add(leg.id)
    return member, taken


def save_leg(draft: Draft, leg: Leg) -> None:
    """Save a leg with the events that tell of its status: ``leg:status:update``, and a hang-up when it ended."""
    old = draft.scene.leg(leg.id)
    draft.save_leg(leg)
    if old is not None and old.status is leg.status and old.conversation_id is not None:
        return
    draft.append("leg:status:update", bodies.leg_status(leg), sender=leg.member_id)
    if not leg.is_live:
        type = "sip:hangup" if leg.type in ("phone", "sip") else "rtc:hangup"
        draft.append(type, bodies.hangup(leg, leg.status.value), sender=leg.member_id)


def end_legs(draft: Draft, member: Member) -> None:
    """End what the member still has live."""
    for leg in draft.scene.legs:
        if leg.member_id == member.id and leg.is_live:
            save_leg(draft, advance(leg, LegStatus.COMPLETED, draft.now))


def require_live(leg: Leg) -> Leg:
    """Return the leg. Raises ``Conflict`` if it has ended."""
    if not leg.is_live:
        raise Conflict(f"The leg {leg.id!r} has ended.", "leg:error:complete")
    return leg


def require_leg(scene: Scene, leg_id: str) -> Leg:
    """Return the leg that a command names. Raises ``leg_not_found``."""
    leg = scene.leg(leg_id)
    if leg is None:
        raise leg_not_found(leg_id)
    return leg


def _replace(scene: Scene, old: Leg, new: Leg, moment: Moment, result: T) -> Changes[T]:
    """Save a leg that changed where it is, which may be in no conversation, or in one that is gone, and answer with ``result``."""
    if new == old:
        return Changes(result)
    if scene.conversation is None or is_expired(scene.conversation, moment.now):
        return Changes(result, legs=[new], signals=[leg_signal(old, new)])
    draft = Draft(scene, moment.now)
    save_leg(draft, new)
    return draft.done(result)


def _attach(draft: Draft, leg: Leg, member_id: str | None, *, moved: bool = False) -> Leg:
    """Save a leg of this conversation as the member's, if one is named; one that was ``moved`` here appends no status."""
    member = require_present(require_member(draft.scene, member_id)) if member_id is not None else None
    leg = replace(leg, member_id=member_id)
    if moved:
        draft.save_leg(leg)
    else:
        save_leg(draft, leg)
    if member is not None:
        live = {one.id for one in draft.scene.legs if one.is_live}
        draft.save_member(replace(member, channel=with_leg(member.channel, leg.id, live)))
    return leg


def _leg_of(member: Member, moment: Moment, id: str | None = None) -> Leg:
    """Return a leg that starts over the member's channel."""
    channel = member.channel
    return new_leg(member.application_id, member.channel_type, moment, id=id, sender=channel.get("from"), to=channel.get("to"))


def _moved_meanwhile(leg: Leg) -> Conflict:
    return Conflict(f"The leg {leg.id!r} was moved elsewhere meanwhile.", "leg:error:invalid-action")
