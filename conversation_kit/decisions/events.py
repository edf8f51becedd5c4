"""Decisions on the events of a conversation's log."""

from __future__ import annotations

from dataclasses import replace

from conversation_kit.decisions import bodies
from conversation_kit.decisions.initiators import initiator
from conversation_kit.domain.commands import CreateEvent, DeleteEvent
from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import InvalidInput, event_not_found
from conversation_kit.domain.event_types import EPHEMERAL, MEDIA_SWITCHES, RECEIPT_KINDS, is_message, receipt_target
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import JSONObject, Member, Receipt, ReceiptKind
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.rules import acting_member, check_deletion, check_switch, require_member, require_present
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.signals import EventDeleted
from conversation_kit.domain.values.moments import Moment


def create(scene: Scene, command: CreateEvent, actor: Actor, moment: Moment, *, body_text: str | None = None) -> Changes[Event]:
    """Append an event of a client's type, or announce an ephemeral one; ``body_text`` is the body's JSON if it is there already.

    A message moves the read pointer of its sender to itself. ``audio:mute:on`` and its like append ``member:media`` too.
    """
    draft = Draft(scene, moment.now)
    author = acting_member(scene, command.sender, "from", free=actor.is_free)
    target = require_present(require_member(scene, command.to)) if command.to is not None else None
    type = command.type
    kind = RECEIPT_KINDS.get(type)
    if kind is not None:
        return _receive(draft, command, kind, author, body_text)
    author_id = author.id if author else None
    if type in EPHEMERAL:
        return draft.done(draft.send_ephemeral(type, command.body, sender=author_id, to=command.to))
    said = is_message(type, actor.policy.event_types)
    event = draft.append(type, command.body, sender=author_id, to=command.to, body_text=body_text, is_message=said)
    if said and author is not None:
        draft.see(author, event)
    if type in MEDIA_SWITCHES and (switched := target or author) is not None:
        check_switch(scene, switched, type, free=actor.is_free)
        _switch_media(draft, switched, author, type)
    return draft.done(event)


def delete(scene: Scene, command: DeleteEvent, actor: Actor, moment: Moment) -> Changes[Event]:
    """Empty an event and append ``event:delete``; of one that is empty already nothing changes. The answer is the tombstone."""
    draft = Draft(scene, moment.now)
    deleter = acting_member(scene, command.sender, "from", free=actor.is_free)
    event = scene.events.get(command.event_id)
    if event is None:
        raise event_not_found(command.event_id)
    check_deletion(scene, event, free=actor.is_free)
    if event.is_deleted:
        return draft.done(event)
    body = bodies.emptied(event.type, event.body, draft.now)
    tombstone = draft.compose(event.id, event.type, body, sender=event.sender, to=event.to, timestamp=event.timestamp)
    draft.rewrite(tombstone)
    previous = scene.events.get(command.event_id - 1)
    # The log says whether it was counted as a message, whatever the host has registered since.
    if event.messages > (previous.messages if previous is not None else 0):
        draft.uncount(command.event_id)
    draft.append("event:delete", _deletion(scene, command.event_id, deleter), sender=deleter.id if deleter else None)
    draft.announce(EventDeleted(actor.application_id, tombstone))
    return draft.done(tombstone)


def _deletion(scene: Scene, event_id: int, deleter: Member | None) -> JSONObject:
    """Return the body of ``event:delete``; where there is no member for ``from`` it tells who did it."""
    return {"event_id": event_id, **({} if deleter is not None else {"initiator": {"deleted": initiator(scene, None)}})}


def _receive(draft: Draft, command: CreateEvent, kind: ReceiptKind, author: Member | None, body_text: str | None) -> Changes[Event]:
    """Append a receipt, once for each event, member and kind."""
    event_id = receipt_target(command.body)
    target = draft.scene.events.get(event_id) if event_id is not None else None
    if target is None or target.id is None:
        raise event_not_found(event_id)
    if author is None:
        raise InvalidInput({"from": "is needed: a receipt is a member's"})
    for receipt in target.receipts:
        if receipt.member_id == author.id and receipt.kind == kind:
            first = draft.compose(
                receipt.receipt_id, command.type, command.body, sender=author.id, to=command.to, timestamp=receipt.timestamp
            )
            return draft.done(first)
    event = draft.append(command.type, command.body, sender=author.id, to=command.to, body_text=body_text)
    assert event.id is not None
    draft.receipt(Receipt(draft.conversation.id, target.id, author.id, kind, draft.now, event.id))
    if kind is ReceiptKind.SEEN:
        draft.see(author, target)
    return draft.done(event)


def _switch_media(draft: Draft, member: Member, author: Member | None, type: str) -> None:
    """Let ``audio:mute:on`` and its like show in the media of the member it is meant for, with ``member:media``."""
    setting, value = MEDIA_SWITCHES[type]
    old = (member.media or {}).get("audio_settings")
    settings = {**(old if isinstance(old, dict) else {}), setting: value}
    member = replace(member, media={**(member.media or {}), "audio_settings": settings})
    draft.save_member(member)
    draft.append("member:media", bodies.member_media(member, initiator(draft.scene, author)), sender=member.id)
