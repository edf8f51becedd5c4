"""Legs: listLegs, deleteLeg, and what the host's telephony tells of its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from conversation_kit.domain import bodies
from conversation_kit.domain.commands import DeleteLeg, StartLeg, UpdateLeg
from conversation_kit.domain.errors import Conflict, InvalidInput, leg_not_found
from conversation_kit.domain.ids import new_id, uuid7
from conversation_kit.domain.models import JSONObject, Leg, LegStatus, Member
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.rules import CHANNEL_TYPES, check_leg_step, is_expired, require_member, require_present
from conversation_kit.domain.scene import Changes, Draft, Needs, Scene, leg_signal
from conversation_kit.domain.signals import LegSignal
from conversation_kit.domain.times import to_text
from conversation_kit.domain.values import check_object, check_text
from conversation_kit.services.core import Service


class Legs(Service):
    """The connections of an application's users. Listing and deleting are for admins, the rest for the host's code."""

    async def list(self, page: Page = Page()) -> Slice[Leg]:
        """Live and ended legs by creation."""
        await self.core.admins_only(self.principal, "listLegs")
        return await (await self.core.storage()).list_legs(self.application_id, page)

    async def get(self, leg_id: str) -> Leg:
        """One leg. Raises ``leg_not_found``."""
        await self.core.admins_only(self.principal, "listLegs", leg_id=leg_id)
        return await (await self.core.storage()).get_leg(self.application_id, leg_id)

    async def start(
        self,
        conversation_id: str,
        type: str,
        *,
        member_id: str | None = None,
        direction: str = "outbound",
        sender: JSONObject | None = None,
        to: JSONObject | None = None,
        leg_id: str | None = None,
    ) -> Leg:
        """Start a leg in a conversation, of a member or of nobody yet; its status is ``started``.

        Raises ``conversation_not_found``, ``member_not_found``, or ``Conflict`` when ``leg_id`` exists.
        """
        return await self._start(StartLeg(type, conversation_id, member_id, direction, sender or {}, to or {}, leg_id))

    async def knock(self, type: str, *, sender: JSONObject | None = None, to: JSONObject | None = None, leg_id: str | None = None) -> Leg:
        """Start the inbound leg of a knocker, who belongs to no conversation yet.

        A member that joins or is invited with the leg's ``knocking_id`` takes it over.
        """
        return await self._start(StartLeg(type, None, None, "inbound", sender or {}, to or {}, leg_id))

    async def _start(self, asked: StartLeg) -> Leg:
        await self.core.admins_only(self.principal, "startLeg")
        command = await self.before(asked)
        if command.type not in CHANNEL_TYPES:
            raise InvalidInput({"type": f"must be one of {', '.join(CHANNEL_TYPES)}"}, "conversation:error:invalid-channel")
        check_object("from", command.sender)
        check_object("to", command.to)
        check_text("leg_id", command.leg_id or "")
        id = command.leg_id or (uuid7().hex if command.direction == "inbound" else str(uuid7()))

        def decide(scene: Scene) -> Changes[Leg]:
            if scene.leg(id) is not None:
                raise Conflict(f"There is a leg {id!r} already.", "leg:error:invalid-action")
            now = self.core.clock()
            leg = new_leg(self.application_id, command.type, now, id=id, direction=command.direction, sender=command.sender, to=command.to)
            if command.conversation_id is None:
                leg = replace(leg, knocking_id=str(uuid4()))
                return Changes(leg, legs=[leg], signals=[leg_signal(None, leg)])
            draft = Draft(scene, now)
            leg = replace(leg, conversation_id=draft.conversation.id)
            if command.member_id is None:
                save_leg(draft, leg)
            else:
                member = require_present(require_member(scene, command.member_id))
                leg = replace(leg, member_id=member.id)
                save_leg(draft, leg)
                draft.save_member(replace(member, channel=with_leg(member.channel, leg.id)))
            return draft.done(leg)

        needs = Needs(members=(command.member_id,) if command.member_id is not None else (), legs=(id,))
        return await self.core.change(self.application_id, command.conversation_id, needs, decide)

    async def update(
        self,
        leg_id: str,
        status: LegStatus | str | None = None,
        *,
        rate: str | None = None,
        price: str | None = None,
        network: str | None = None,
    ) -> Leg:
        """Move a leg on (``ringing``, ``answered``, ``completed``, ...) and note what the carrier says of it.

        Appends ``leg:status:update`` when the status changes. Raises ``leg_not_found``, or ``Conflict`` for a step that cannot follow.
        """
        await self.core.admins_only(self.principal, "updateLeg", leg_id=leg_id)
        try:
            wanted = LegStatus(status) if status is not None else None
        except ValueError as error:
            raise InvalidInput({"status": f"must be one of {', '.join(LegStatus)}"}) from error
        command = await self.before(UpdateLeg(leg_id, wanted, rate, price, network))
        told = bodies.without_none(rate=command.rate, price=command.price, network=command.network)
        for field, value in told.items():
            check_text(field, value)

        def update(leg: Leg, now: datetime) -> Leg:
            if command.status is not None:
                check_leg_step(leg.status, command.status)
                leg = advance(leg, command.status, now)
            return replace(leg, **told)

        return await self._change(command.leg_id, update)

    async def delete(self, leg_id: str) -> None:
        """Hang a live leg up (its status becomes ``completed``), or take an ended one off the list.

        The member stays joined. For admins. Raises ``leg_not_found``.
        """
        await self.core.admins_only(self.principal, "deleteLeg", leg_id=leg_id)
        command = await self.before(DeleteLeg(leg_id))

        def end(leg: Leg, now: datetime) -> Leg | None:
            return advance(leg, LegStatus.COMPLETED, now) if leg.is_live else None

        await self._change(command.leg_id, end)

    async def _change(self, leg_id: str, step: Callable[[Leg, datetime], Leg | None]) -> Leg:
        """Replace a leg by ``step`` of it, or remove it when that is ``None``, in the conversation in which it is."""
        while True:
            conversation_id = (await (await self.core.storage()).get_leg(self.application_id, leg_id)).conversation_id

            def decide(scene: Scene, conversation_id: str | None = conversation_id) -> Changes[Leg | None]:
                leg = scene.leg(leg_id)
                if leg is None:
                    raise leg_not_found(leg_id)
                if leg.conversation_id != conversation_id:
                    return Changes(None)
                now = self.core.clock()
                new = step(leg, now)
                if new is None:
                    return Changes(leg, removed_legs=[leg.id])
                if scene.conversation is None or is_expired(scene.conversation, now):
                    return Changes(new, legs=[new], signals=[leg_signal(leg, new)])
                draft = Draft(scene, now)
                save_leg(draft, new)
                return draft.done(new)

            leg = await self.core.change(self.application_id, conversation_id, Needs(legs=(leg_id,)), decide)
            if leg is not None:
                return leg


def new_leg(
    application_id: str,
    type: str,
    now: datetime,
    *,
    id: str | None = None,
    direction: str = "outbound",
    sender: JSONObject | None = None,
    to: JSONObject | None = None,
) -> Leg:
    """A leg that has just started, outside any conversation."""
    return Leg(
        application_id,
        id or str(uuid7()),
        type,
        LegStatus.STARTED,
        direction,
        now,
        new_id("SES"),
        sender=sender or {"type": type},
        to=to or {"type": type},
        history=({"status": LegStatus.STARTED.value, "date": to_text(now)},),
    )


def advance(leg: Leg, status: LegStatus, now: datetime) -> Leg:
    """The leg in another status; an answer starts the clock, an end stops it."""
    history = (*leg.history, {"status": status.value, "date": to_text(now)})
    leg = replace(leg, status=status, history=history)
    if status is LegStatus.ANSWERED and leg.start_time is None:
        leg = replace(leg, start_time=now)
    if not leg.is_live:
        seconds = round((now - leg.start_time).total_seconds()) if leg.start_time is not None else 0
        leg = replace(leg, end_time=now, duration=seconds)
    return leg


def hang_up(leg: Leg, now: datetime) -> tuple[Leg, LegSignal]:
    """A live leg ended, and what to announce of it."""
    ended = advance(leg, LegStatus.COMPLETED, now)
    return ended, leg_signal(leg, ended)


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


def with_leg(channel: JSONObject, leg_id: str) -> JSONObject:
    """The channel with a further leg; the first one is its main leg."""
    legs = [*channel.get("leg_ids", ()), {"leg_id": leg_id}]
    return {**channel, "leg_id": channel.get("leg_id", leg_id), "leg_ids": legs}


def end_legs(draft: Draft, member: Member) -> None:
    """Hang up what the member still has live."""
    for leg in draft.scene.legs:
        if leg.member_id == member.id and leg.is_live:
            save_leg(draft, advance(leg, LegStatus.COMPLETED, draft.now))
