"""Writes of users, blocks and new conversations, as decisions that are as plain as can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conversation_kit.domain.errors import user_not_found
from conversation_kit.domain.models import Block, Conversation, User
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.ports import Storage


async def create_conversation(storage: Storage, conversation: Conversation, **more: Any) -> None:
    """Insert a conversation."""
    changes = Changes(None, new_conversation=conversation)
    await storage.change(conversation.application_id, conversation.id, Needs(), lambda scene: changes, **more)


async def create_user(storage: Storage, user: User, **more: Any) -> None:
    """Insert a user."""
    changes = Changes(None, new_users=[user])
    await storage.change(user.application_id, None, Needs(), lambda scene: changes, **more)


async def update_user(storage: Storage, application_id: str, user_id: str, update: Callable[[User], User], **more: Any) -> User:
    """Replace a user by ``update`` of it. Raises ``user_not_found``."""

    def decide(scene: Scene) -> Changes[User]:
        if scene.user is None:
            raise user_not_found(user_id)
        user = update(scene.user)
        return Changes(user, users=[user])

    return (await storage.change(application_id, None, Needs(user_id=user_id, changes_user=True), decide, **more)).result


async def delete_user(storage: Storage, application_id: str, user_id: str, **more: Any) -> bool:
    """Remove a user unless it is a member somewhere, and tell whether it is gone. Raises ``user_not_found``."""

    def decide(scene: Scene) -> Changes[bool]:
        if scene.user is None:
            raise user_not_found(user_id)
        return Changes(False) if scene.ties.is_member else Changes(True, removed_users=[user_id])

    needs = Needs(user_id=user_id, changes_user=True, memberships=True)
    return (await storage.change(application_id, None, needs, decide, **more)).result


async def add_block(storage: Storage, block: Block, most: int, **more: Any) -> bool:
    """Insert a block unless it is there, or the user has ``most``; tell whether it is there now. Raises ``user_not_found``."""

    def decide(scene: Scene) -> Changes[bool]:
        for user, id in ((scene.user, block.user_id), (scene.ties.blocked, block.blocked_id)):
            if user is None:
                raise user_not_found(id)
        if scene.ties.block is not None:
            return Changes(True)
        return Changes(False) if scene.ties.blocks >= most else Changes(True, blocks=[block])

    needs = Needs(user_id=block.user_id, changes_user=True, blocked_id=block.blocked_id)
    return (await storage.change(block.application_id, None, needs, decide, **more)).result


async def remove_block(storage: Storage, application_id: str, user_id: str, blocked_id: str, **more: Any) -> bool:
    """Remove a block and tell whether there was one."""

    def decide(scene: Scene) -> Changes[bool]:
        return Changes(False) if scene.ties.block is None else Changes(True, unblocked=[(user_id, blocked_id)])

    needs = Needs(user_id=user_id, changes_user=True, blocked_id=blocked_id)
    return (await storage.change(application_id, None, needs, decide, **more)).result
