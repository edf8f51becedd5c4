"""Events: createEvent, getEvents, getEvent, deleteEvent."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from conversation_kit.decisions import events
from conversation_kit.domain.commands import CreateEvent, DeleteEvent
from conversation_kit.domain.event_types import RECEIPT_KINDS, check_event, receipt_target
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import JSONObject, MemberState
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.checks import to_json
from conversation_kit.services.context import Service
from conversation_kit.services.idempotent import idempotent

JOINED = frozenset({MemberState.JOINED})


class Events(Service):
    """The log of a conversation."""

    @idempotent
    async def create(
        self,
        conversation_id: str,
        type: str,
        body: JSONObject | None = None,
        *,
        sender: str | None = None,
        to: str | None = None,
    ) -> Event:
        """Append an event of a client's type; ``sender`` and ``to`` are member ids.

        A user needs to be joined; ``sender`` may then be left out by who is joined over one channel only. Receipts (``text:seen``, ...)
        show in their target's ``state``, and the second one of a member is answered with the first. What says ``seen`` moves the member's
        read pointer on to its target, and a message moves its sender's to itself. Typing and ``ephemeral`` events
        come back without an id: they are announced and not kept. Raises ``conversation_not_found``, ``member_not_found``,
        ``event_not_found``, ``Forbidden``, ``InvalidInput`` or ``TooManyRequests``.
        """
        free = await self.context.unrestricted(self.principal, "events.create", conversation_id=conversation_id)
        command = CreateEvent(conversation_id, type, body or {}, sender, to)
        text = check_event(type, command.body, self.context.policy.event_types)
        if (limiter := self.context.limiter) is not None:
            await limiter.take(self.principal, {"events": 1, "event_bytes": len(text.encode())})
        hooks = self.context.hooks
        if hooks.registrations and hooks.watch(command):
            command = await self.before(command)
            # A hook may have changed the command's body in place.
            text = check_event(command.type, command.body, self.context.policy.event_types)

        receipt = None
        if command.type in RECEIPT_KINDS:
            # What else a client says in a receipt nobody could delete.
            command = replace(command, body={"event_id": command.body["event_id"]})
            text = to_json(command.body)
            receipt = receipt_target(command.body)

        members = () if command.sender is None else (command.sender,)
        needs = Needs(
            caller=self.principal.user_name,
            issued_at=self.principal.issued_at,
            members=members if command.to is None else (*members, command.to),
            events=(receipt,) if receipt is not None else (),
        )
        return await self.change(partial(events.create, body_text=text), command, free, command.conversation_id, needs)

    async def page(self, conversation_id: str, wanted: EventRange = EventRange()) -> EventPage:
        """Return a page of events as stored, for joined members.

        Raises ``conversation_not_found`` or ``Forbidden``.
        """
        access = await self.context.access(self.principal, "events.list", conversation_id=conversation_id, states=JOINED, creator=False)
        return await (await self.context.storage()).list_events(access, conversation_id, wanted)

    async def list(self, conversation_id: str, wanted: EventRange = EventRange()) -> list[Event]:
        """Return the events by id.

        Raises ``conversation_not_found`` or ``Forbidden``.
        """
        return (await self.page(conversation_id, wanted)).events()

    async def get(self, conversation_id: str, event_id: int) -> Event:
        """Return one event with its receipts.

        Raises ``conversation_not_found``, ``event_not_found`` or ``Forbidden``.
        """
        access = await self.context.access(
            self.principal, "events.get", conversation_id=conversation_id, event_id=event_id, states=JOINED, creator=False
        )
        return await (await self.context.storage()).get_event(access, conversation_id, event_id)

    @idempotent
    async def delete(self, conversation_id: str, event_id: int, *, sender: str | None = None) -> Event:
        """Empty an event and append ``event:delete``; a second time does nothing more. Returns the tombstone.

        For admins, and for the author of what clients write. Of the kit's own records ids and states stay. Receipts and
        ``event:delete`` hold nothing but an id and are not deleted. A message that is deleted counts no more as unread.
        Raises ``conversation_not_found``, ``event_not_found`` or ``Forbidden``.
        """
        free = await self.context.unrestricted(self.principal, "events.delete", conversation_id=conversation_id, event_id=event_id)
        command = await self.before(DeleteEvent(conversation_id, event_id, sender))
        needs = Needs(
            caller=self.principal.user_name,
            issued_at=self.principal.issued_at,
            members=(command.sender,) if command.sender is not None else (),
            events=(command.event_id - 1, command.event_id),
            behind=command.event_id,
        )
        return await self.change(events.delete, command, free, command.conversation_id, needs)
