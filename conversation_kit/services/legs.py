"""Legs: listLegs, deleteLeg, and what the host's telephony tells of its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from conversation_kit.decisions import legs
from conversation_kit.decisions.legs import require_live
from conversation_kit.domain.channels import CHANNEL_TYPES
from conversation_kit.domain.commands import DeleteLeg, MoveLeg, StartLeg, UpdateLeg
from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.legs import check_leg_id
from conversation_kit.domain.models import JSONObject, Leg, LegStatus
from conversation_kit.domain.reading import MAX_PAGE, Access, Page, Slice
from conversation_kit.domain.rules import require_present
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.checks import check_object, check_seconds, check_text
from conversation_kit.services.context import Service
from conversation_kit.services.idempotent import idempotent
from conversation_kit.services.iteration import every


class Legs(Service):
    """The connections of an application's users. Listing and deleting are for admins, the rest for the host's code."""

    async def list(self, page: Page = Page()) -> Slice[Leg]:
        """Return live and ended legs by creation."""
        await self.context.admins_only(self.principal, "legs.list")
        return await (await self.context.storage()).list_legs(self.application_id, page)

    def all(self) -> AsyncIterator[Leg]:
        """Iterate over all legs by creation, with ``async for``; for admins."""
        return every(self.list, Page(max_bytes=MAX_PAGE))

    async def get(self, leg_id: str) -> Leg:
        """Return one leg.

        Raises ``leg_not_found``.
        """
        await self.context.admins_only(self.principal, "legs.get", leg_id=leg_id)
        return await (await self.context.storage()).get_leg(self.application_id, leg_id)

    @idempotent
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

    @idempotent
    async def knock(self, type: str, *, sender: JSONObject | None = None, to: JSONObject | None = None, leg_id: str | None = None) -> Leg:
        """Start the inbound leg of a knocker, who belongs to no conversation yet.

        A member that joins or is invited with the leg's ``knocking_id`` takes it over.
        """
        return await self._start(StartLeg(type, None, None, "inbound", sender or {}, to or {}, leg_id))

    async def _start(self, asked: StartLeg) -> Leg:
        await self.context.admins_only(self.principal, "legs.start")
        command = await self.before(asked)
        if command.type not in CHANNEL_TYPES:
            raise InvalidInput({"type": f"must be one of {', '.join(CHANNEL_TYPES)}"}, "conversation:error:invalid-channel")
        check_object("from", command.sender)
        check_object("to", command.to)
        if command.leg_id:
            check_leg_id("leg_id", command.leg_id)
        needs = Needs(members=_ids(command.member_id), legs=_ids(command.leg_id), live_legs=command.member_id is not None)
        return await self.change(legs.start, command, True, command.conversation_id, needs)

    @idempotent
    async def update(
        self,
        leg_id: str,
        status: LegStatus | str | None = None,
        *,
        rate: str | None = None,
        price: str | None = None,
        network: str | None = None,
        duration: int | None = None,
    ) -> Leg:
        """Move a leg on (``ringing``, ``answered``, ``completed``, ...) and note what the carrier says of it.

        ``duration`` is in seconds and takes the place of the time between answer and end. A status that is repeated, or comes after a
        later one, changes nothing, and what else is said with it is noted all the same, also of a leg that has ended. Appends
        ``leg:status:update`` when the status changes. Raises ``leg_not_found`` or ``InvalidInput``.
        """
        await self.context.admins_only(self.principal, "legs.update", leg_id=leg_id)
        try:
            wanted = LegStatus(status) if status is not None else None
        except ValueError as error:
            raise InvalidInput({"status": f"must be one of {', '.join(LegStatus)}"}) from error
        command = await self.before(UpdateLeg(leg_id, wanted, rate, price, network, duration))
        for field, text in (("rate", command.rate), ("price", command.price), ("network", command.network)):
            if text is not None:
                check_text(field, text)
        check_seconds("duration", command.duration)
        return await self.change(legs.update, command, True, None, Needs(conversation_of=command.leg_id))

    @idempotent
    async def move(self, leg_id: str, conversation_id: str, *, member_id: str | None = None) -> Leg:
        """Move a live leg into another conversation, or to another member, as a call that is put through.

        It leaves the channel of its member and shows in that of ``member_id``, if one is named. Appends ``rtc:transfer`` to both logs.
        The two conversations change one after the other: after an error in between the leg is in neither, and moving it again goes on.
        Raises ``leg_not_found``, ``conversation_not_found``, ``member_not_found``, or ``Conflict`` for a leg or a membership that ended.
        """
        await self.context.admins_only(self.principal, "legs.update", leg_id=leg_id)
        command = await self.before(MoveLeg(leg_id, conversation_id, member_id))
        everything = Access(self.application_id, self.context.clock())
        storage = await self.context.storage()
        if command.member_id is None:
            await storage.get_conversation(everything, command.conversation_id, 0)
        else:
            require_present(await storage.get_member(everything, command.conversation_id, command.member_id))
        old = require_live(await storage.get_leg(self.application_id, command.leg_id))
        if old.conversation_id is not None:
            await self._detach(command, old)
        needs = Needs(members=_ids(command.member_id), legs=(command.leg_id,), live_legs=True)
        return await self.change(partial(legs.move, old=old), command, True, command.conversation_id, needs)

    async def _detach(self, command: MoveLeg, old: Leg) -> None:
        """Take a leg out of its conversation, which is half of the change: it keeps no answer."""
        decision = partial(legs.detach, conversation_id=old.conversation_id)
        needs = Needs(members=_ids(old.member_id), legs=(old.id,))
        await replace(self, claim=None).change(decision, command, True, old.conversation_id, needs)

    @idempotent
    async def delete(self, leg_id: str) -> None:
        """Hang a live leg up (its status becomes ``completed``), or take an ended one off the list.

        The member stays joined. For admins. Raises ``leg_not_found``.
        """
        await self.context.admins_only(self.principal, "legs.delete", leg_id=leg_id)
        command = await self.before(DeleteLeg(leg_id))
        await self.change(legs.delete, command, True, None, Needs(conversation_of=command.leg_id))


def _ids(id: str | None) -> tuple[str, ...]:
    return () if id is None else (id,)
