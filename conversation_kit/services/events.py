"""Events: createEvent, getEvents, getEvent, deleteEvent."""

from __future__ import annotations

from dataclasses import replace

from conversation_kit.domain import bodies
from conversation_kit.domain.commands import CreateEvent, DeleteEvent
from conversation_kit.domain.errors import Forbidden, InvalidInput, event_not_found
from conversation_kit.domain.event_types import (
    EPHEMERAL,
    MAX_CUSTOM_BODY,
    MEDIA_SWITCHES,
    check_body,
    check_type,
    is_message,
    receipt_kind,
    receipt_target,
)
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import JSONObject, Member, MemberState, Receipt, ReceiptKind
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.rules import acting_member, require_member, require_present
from conversation_kit.domain.scene import Changes, Draft, Needs, Scene
from conversation_kit.domain.signals import EventDeleted
from conversation_kit.domain.times import to_text
from conversation_kit.domain.values import MAX_JSON, check_json
from conversation_kit.services.core import Service

JOINED = frozenset({MemberState.JOINED})


class Events(Service):
    """The log of a conversation."""

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
        ``event_not_found``, ``Forbidden`` or ``InvalidInput``.
        """
        free = await self.core.unrestricted(self.principal, "createEvent", conversation_id=conversation_id)
        command = CreateEvent(conversation_id, type, body or {}, sender, to)
        text = self._check(command)
        if self.core.hooks.watch(command):
            command = await self.before(command)
            # A hook may have changed the command's body in place.
            text = self._check(command)

        kind = receipt_kind(command.type)

        def decide(scene: Scene) -> Changes[Event]:
            draft = Draft(scene, self.core.clock())
            author = acting_member(scene, command.sender, "from", free=free)
            target = require_present(require_member(scene, command.to)) if command.to is not None else None
            if kind is not None:
                return _receive(draft, command, kind, author, text)
            author_id = author.id if author else None
            if command.type in EPHEMERAL:
                return draft.done(draft.whisper(command.type, command.body, sender=author_id, to=command.to))
            said = is_message(command.type, self.core.event_types)
            event = draft.append(command.type, command.body, sender=author_id, to=command.to, body_text=text, is_message=said)
            if said and author_id is not None:
                draft.see(author_id, event)
            if command.type in MEDIA_SWITCHES and (target or author) is not None:
                _switch_media(draft, target or author, command.type)
            return draft.done(event)

        receipt = receipt_target(command.body) if kind is not None else None
        needs = Needs(
            caller=self.principal.user_name,
            members=tuple(filter(None, (command.sender, command.to))),
            events=(receipt,) if receipt is not None else (),
        )
        return await self.core.change(self.principal.application_id, command.conversation_id, needs, decide)

    def _check(self, command: CreateEvent) -> str:
        check_type(command.type, self.core.event_types)
        check_body(command.type, command.body)
        return check_json("body", command.body, limit=MAX_CUSTOM_BODY if command.type.startswith("custom:") else MAX_JSON)

    async def page(self, conversation_id: str, wanted: EventRange = EventRange()) -> EventPage:
        """Events as stored, for who is joined. Raises ``conversation_not_found`` or ``Forbidden``."""
        access = await self.core.access(self.principal, "getEvents", conversation_id=conversation_id, states=JOINED, creator=False)
        return await (await self.core.storage()).list_events(access, conversation_id, wanted)

    async def list(self, conversation_id: str, wanted: EventRange = EventRange()) -> list[Event]:
        """Events by id. Raises ``conversation_not_found`` or ``Forbidden``."""
        return (await self.page(conversation_id, wanted)).events()

    async def get(self, conversation_id: str, event_id: int) -> Event:
        """One event with its receipts. Raises ``conversation_not_found``, ``event_not_found`` or ``Forbidden``."""
        access = await self.core.access(
            self.principal, "getEvent", conversation_id=conversation_id, event_id=event_id, states=JOINED, creator=False
        )
        return await (await self.core.storage()).get_event(access, conversation_id, event_id)

    async def delete(self, conversation_id: str, event_id: int, *, sender: str | None = None) -> Event:
        """Empty an event and append ``event:delete``; a second time does nothing more. Returns the tombstone.

        For admins and the author. Raises ``conversation_not_found``, ``event_not_found`` or ``Forbidden``.
        """
        free = await self.core.unrestricted(self.principal, "deleteEvent", conversation_id=conversation_id, event_id=event_id)
        command = await self.before(DeleteEvent(conversation_id, event_id, sender))

        def decide(scene: Scene) -> Changes[Event]:
            draft = Draft(scene, self.core.clock())
            actor = acting_member(scene, command.sender, "from", free=free)
            event = scene.events.get(command.event_id)
            if event is None:
                raise event_not_found(command.event_id)
            author = scene.member(event.sender) if event.sender is not None else None
            if not free and (author is None or scene.caller is None or author.user_id != scene.caller.id):
                raise Forbidden("Only the author or an admin deletes an event.", "event:error:permission-denied")
            if not is_message(event.type, self.core.event_types):
                raise Forbidden(f"Events of type {event.type!r} cannot be deleted.", "event:error:permission-denied")
            if event.is_deleted:
                return draft.done(event)
            tombstone = draft.compose(
                event.id,
                event.type,
                {"timestamp": {"deleted": to_text(draft.now)}},
                sender=event.sender,
                to=event.to,
                timestamp=event.timestamp,
            )
            draft.rewrite(tombstone)
            draft.append("event:delete", {"event_id": command.event_id}, sender=actor.id if actor else None)
            draft.announce(EventDeleted(self.application_id, tombstone))
            return draft.done(tombstone)

        needs = Needs(
            caller=self.principal.user_name,
            members=(command.sender,) if command.sender is not None else (),
            events=(command.event_id,),
        )
        return await self.core.change(self.application_id, command.conversation_id, needs, decide)


def _receive(draft: Draft, command: CreateEvent, kind: ReceiptKind, author: Member | None, text: str) -> Changes[Event]:
    """Append a receipt, once for each event, member and kind."""
    event_id = receipt_target(command.body)
    target = draft.scene.events.get(event_id) if event_id is not None else None
    if target is None or target.id is None or target.is_deleted:
        raise event_not_found(event_id)
    if author is None:
        raise InvalidInput({"from": "is needed: a receipt is a member's"})
    for receipt in target.receipts:
        if receipt.member_id == author.id and receipt.kind == kind:
            first = draft.compose(
                receipt.receipt_id, command.type, command.body, sender=author.id, to=command.to, timestamp=receipt.timestamp
            )
            return draft.done(first)
    event = draft.append(command.type, command.body, sender=author.id, to=command.to, body_text=text)
    assert event.id is not None
    draft.receipt(Receipt(draft.conversation.id, target.id, author.id, kind, draft.now, event.id))
    if kind is ReceiptKind.SEEN:
        draft.see(author.id, target)
    return draft.done(event)


def _switch_media(draft: Draft, member: Member | None, type: str) -> None:
    """Let ``audio:mute:on`` and its like show in the media of the member it is meant for, with ``member:media``."""
    if member is None:
        return
    setting, value = MEDIA_SWITCHES[type]
    old = (member.media or {}).get("audio_settings")
    settings = {**(old if isinstance(old, dict) else {}), setting: value}
    member = replace(member, media={**(member.media or {}), "audio_settings": settings})
    draft.save_member(member)
    draft.append("member:media", bodies.member_media(member), sender=member.id)
