"""Decisions on users and on the blocks between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from conversation_kit.domain.commands import UNCHANGED, BlockUser, CreateUser, DeleteUser, UnblockUser, UpdateUser, changed
from conversation_kit.domain.errors import Conflict, Forbidden, InvalidInput, user_not_found
from conversation_kit.domain.models import Block, User
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.signals import UserCreated, UserDeleted, UserUpdated
from conversation_kit.domain.values.checks import check_object
from conversation_kit.domain.values.moments import Moment
from conversation_kit.domain.values.patches import merged

OBJECTS = ("channels", "properties")
ATTRIBUTES = ("name", "display_name", "image_url", *OBJECTS)

MAX_BLOCKS = 1000
"""Number of others that a user may block."""


class StillMember(Exception):
    """Refusal to remove a user who is invited or joined somewhere."""


def create(scene: Scene, command: CreateUser, actor: Actor, moment: Moment) -> Changes[User]:
    """Make a user; without a name one is generated."""
    user = User(
        actor.application_id,
        moment.id("USR"),
        command.name or moment.id("NAM"),
        moment.now,
        command.display_name,
        command.image_url or None,
        command.channels,
        properties=command.properties,
    )
    return Changes(user, new_users=[user], signals=[UserCreated(actor.application_id, user)])


def update(scene: Scene, command: UpdateUser, actor: Actor, moment: Moment) -> Changes[User]:
    """Merge the given values. Users change themselves alone, and only who is free changes a name."""
    _require_self(scene, command.user_id, actor)
    if not actor.is_free and command.name not in (UNCHANGED, "", actor.principal.user_name):
        raise Forbidden("Only an admin changes a user's name: it is what tokens carry.")
    old = _require_user(scene.user, command.user_id)
    new = changed(command, ATTRIBUTES)
    if "image_url" in new:
        new["image_url"] = new["image_url"] or None
    new.update({field: check_object(field, merged(getattr(old, field), new[field])) for field in OBJECTS if field in new})
    return _replaced(replace(old, **new, updated=moment.now), actor)


def revoke_tokens(scene: Scene, command: UpdateUser, actor: Actor, moment: Moment, *, since: datetime | None) -> Changes[User]:
    """Refuse the tokens that were made before ``since``, or before now; a later time that was set before stays."""
    old = _require_user(scene.user, command.user_id)
    latest = since or moment.now
    if old.tokens_since is not None:
        latest = max(latest, old.tokens_since)
    return _replaced(replace(old, tokens_since=latest, updated=moment.now), actor)


def delete(scene: Scene, command: DeleteUser, actor: Actor, moment: Moment) -> Changes[None]:
    """Remove a user. Raises ``StillMember`` while it is invited or joined somewhere."""
    user = _require_user(scene.user, command.user_id)
    if scene.ties.is_member:
        raise StillMember
    return Changes(None, removed_users=[user.id], signals=[UserDeleted(actor.application_id, user)])


def block(scene: Scene, command: BlockUser, actor: Actor, moment: Moment) -> Changes[None]:
    """Let a user get no invitations from another one, if it does not block ``MAX_BLOCKS`` others already. Users block for themselves."""
    _require_self(scene, command.user_id, actor)
    if command.blocked_id == command.user_id:
        raise InvalidInput({"blocked_id": "is the user's own"})
    user, blocked = _require_user(scene.user, command.user_id), _require_user(scene.ties.blocked, command.blocked_id)
    if scene.ties.block is not None:
        return Changes(None)
    if scene.ties.blocks >= MAX_BLOCKS:
        raise Conflict(f"You block {MAX_BLOCKS} users, which is as many as you may: unblock some.", "user:error:too-many-blocks")
    return Changes(None, blocks=[Block(actor.application_id, user.id, blocked.id, moment.now)])


def unblock(scene: Scene, command: UnblockUser, actor: Actor, moment: Moment) -> Changes[bool]:
    """Let a user get invitations from another one again. The answer says whether it did not. Users unblock for themselves."""
    _require_self(scene, command.user_id, actor)
    if scene.ties.block is None:
        return Changes(False)
    return Changes(True, unblocked=[(command.user_id, command.blocked_id)])


def _require_self(scene: Scene, user_id: str, actor: Actor) -> None:
    if not actor.is_free and (scene.caller is None or scene.caller.id != user_id):
        raise Forbidden("Users see and change only themselves.")


def _require_user(user: User | None, user_id: str) -> User:
    if user is None:
        raise user_not_found(user_id)
    return user


def _replaced(user: User, actor: Actor) -> Changes[User]:
    return Changes(user, users=[user], signals=[UserUpdated(actor.application_id, user)])
