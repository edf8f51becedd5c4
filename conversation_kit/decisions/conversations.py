"""Decisions on conversations themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from conversation_kit.decisions import bodies
from conversation_kit.decisions.initiators import initiator
from conversation_kit.decisions.rights import require_say
from conversation_kit.domain.commands import CreateConversation, DeleteConversation, UpdateConversation, changed
from conversation_kit.domain.drafts import Draft, expiry, leg_signal
from conversation_kit.domain.errors import Forbidden
from conversation_kit.domain.legs import advance
from conversation_kit.domain.models import Conversation, LegStatus, MemberState
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.rules import is_expired, require_conversation
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.signals import ConversationCreated, ConversationDeleted, ConversationUpdated
from conversation_kit.domain.values.checks import check_object, to_json
from conversation_kit.domain.values.moments import Moment
from conversation_kit.domain.values.patches import merged

T = TypeVar("T")

OBJECTS = ("numbers", "properties")
ATTRIBUTES = ("name", "display_name", "image_url", *OBJECTS)


def create(scene: Scene, command: CreateConversation, actor: Actor, moment: Moment) -> Changes[Conversation]:
    """Make a conversation without members; without a name one is generated."""
    conversation = Conversation(
        actor.application_id,
        moment.id("CON"),
        command.name or moment.id("NAM"),
        moment.now,
        command.display_name,
        command.image_url or None,
        command.numbers,
        command.properties,
        created_by=None if scene.caller is None else scene.caller.id,
        expires_at=expiry(command.properties, moment.now),
    )
    return Changes(conversation, new_conversation=conversation, signals=[ConversationCreated(actor.application_id, conversation)])


def update(
    scene: Scene, command: UpdateConversation, actor: Actor, moment: Moment, *, deleting: Actor | Forbidden
) -> Changes[Conversation]:
    """Merge the given values. What changes appends ``conversation:updated``.

    ``deleting`` is the actor with its right to delete the conversation, which a new ``ttl`` needs, or the refusal of it.
    """
    draft = Draft(scene, moment.now)
    require_say(scene, actor, members_too=True)
    old = draft.conversation
    new = changed(command, ATTRIBUTES)
    if "image_url" in new:
        new["image_url"] = new["image_url"] or None
    new.update({field: check_object(field, merged(getattr(old, field), new[field])) for field in OBJECTS if field in new})
    if all(to_json(getattr(old, field)) == to_json(value) for field, value in new.items()):
        return draft.done(old)
    if "properties" in new and new["properties"].get("ttl") != old.properties.get("ttl"):
        if isinstance(deleting, Forbidden):
            raise deleting
        require_say(scene, deleting, members_too=False)
    draft.update(**new, updated=draft.now)
    if "properties" in new and old.joined_members == 0:
        draft.update(expires_at=expiry(new["properties"], draft.now))
    own = scene.members_of(scene.caller, MemberState.JOINED)
    body = bodies.conversation_updated(draft.conversation, initiator(scene, own[0] if own else None))
    draft.append("conversation:updated", body, sender=own[0].id if own else None)
    draft.announce(ConversationUpdated(actor.application_id, draft.conversation))
    return draft.done(draft.conversation)


def delete(scene: Scene, command: DeleteConversation, actor: Actor, moment: Moment) -> Changes[None]:
    """Remove a conversation with its members and events; its live legs are hung up and stay listed."""
    conversation = require_conversation(scene, moment.now)
    require_say(scene, actor, members_too=False)
    return _destroy(scene, conversation, actor, moment, None)


def expire(scene: Scene, command: DeleteConversation, actor: Actor, moment: Moment, *, is_kept: bool) -> Changes[bool]:
    """Remove a conversation whose ``ttl`` has run out, or let it be there again. The answer says whether it is removed."""
    conversation = scene.conversation
    if conversation is None or not is_expired(conversation, moment.now):
        return Changes(False)
    if is_kept:
        return Changes(False, conversation=replace(conversation, expires_at=None))
    return _destroy(scene, conversation, actor, moment, True)


def _destroy(scene: Scene, conversation: Conversation, actor: Actor, moment: Moment, result: T) -> Changes[T]:
    ended = [(leg, advance(leg, LegStatus.COMPLETED, moment.now)) for leg in scene.legs]
    gone = replace(conversation, destroyed=moment.now)
    return Changes(
        result,
        destroyed=True,
        legs=[new for _, new in ended],
        signals=[*(leg_signal(old, new) for old, new in ended), ConversationDeleted(actor.application_id, gone)],
    )
