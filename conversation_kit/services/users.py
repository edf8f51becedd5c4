"""Users: createUser, getUsers, getUser, updateUser, deleteUser, getuserConversations."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from conversation_kit.decisions import users
from conversation_kit.decisions.users import ATTRIBUTES, OBJECTS
from conversation_kit.domain.actions import Action
from conversation_kit.domain.commands import UNCHANGED, BlockUser, CreateUser, DeleteUser, Maybe, UnblockUser, UpdateUser, changed
from conversation_kit.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from conversation_kit.domain.models import Block, Conversation, JSONObject, Member, User
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.reading import MAX_PAGE, Page, Slice
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.checks import check_display_name, check_ids, check_image_url, check_object
from conversation_kit.domain.values.names import check_name
from conversation_kit.services.context import Service
from conversation_kit.services.conversations import Conversations
from conversation_kit.services.departures import leave_everywhere
from conversation_kit.services.idempotent import idempotent
from conversation_kit.services.iteration import every
from conversation_kit.services.members import Members

logger = logging.getLogger("conversation_kit")


class Users(Service):
    """An application's users."""

    @idempotent
    async def create(
        self,
        name: str | None = None,
        *,
        display_name: str | None = None,
        image_url: str | None = None,
        channels: JSONObject | None = None,
        properties: JSONObject | None = None,
    ) -> User:
        """Create a user; without a name one is generated. For admins. Raises ``duplicate_name``."""
        await self.context.admins_only(self.principal, "users.create")
        command = _checked(await self.before(_checked(CreateUser(name, display_name, image_url, channels or {}, properties or {}))))
        return await self.change(users.create, command, True, None, Needs())

    async def ensure(self, principal: Principal) -> None:
        """Create the user that ``principal`` names unless there is one: a host's own user on first sight."""
        assert principal.user_name is not None
        try:
            await (await self.context.storage()).get_user(self.application_id, name=principal.user_name)
        except NotFound:
            try:
                usable = _usable(principal)
                await self.create(principal.user_name, display_name=usable.get("display_name"), image_url=usable.get("image_url"))
            except Conflict as error:
                if error.code != "user:error:duplicate-name":
                    raise

    async def get(self, user_id: str) -> User:
        """Return the user with this id; users see themselves only.

        Raises ``user_not_found`` or ``Forbidden``.
        """
        await self._self_or_admin("users.get", user_id)
        return await (await self.context.storage()).get_user(self.application_id, id=user_id)

    async def named(self, name: str) -> User:
        """Return the user with this name; users see themselves only.

        Raises ``user_not_found`` or ``Forbidden``.
        """
        free = await self.context.unrestricted(self.principal, "users.get")
        if not free and name != self.principal.user_name:
            raise Forbidden("Users see only themselves.")
        if self.principal.user_name is not None:
            caller = await self.context.caller(self.principal)
            if caller.name == name:
                return caller
        return await (await self.context.storage()).get_user(self.application_id, name=name)

    async def list(self, page: Page = Page()) -> Slice[User]:
        """Return the application's users by creation; for admins."""
        await self.context.admins_only(self.principal, "users.list")
        return await (await self.context.storage()).list_users(self.application_id, page)

    def all(self) -> AsyncIterator[User]:
        """Iterate over the application's users by creation, with ``async for``; for admins."""
        return every(self.list, Page(max_bytes=MAX_PAGE))

    async def find_or_create(self, name: str, *, display_name: str | None = None, image_url: str | None = None) -> User:
        """Return the user of this name, who is created with the rest if there is none. For admins. Raises ``InvalidInput``."""
        try:
            return await self.named(name)
        except NotFound:
            pass
        try:
            return await self.create(name, display_name=display_name, image_url=image_url)
        except Conflict as error:
            if error.code != "user:error:duplicate-name":
                raise
        return await self.named(name)  # somebody else has created it meanwhile

    @idempotent
    async def update(
        self,
        user_id: str,
        *,
        name: Maybe[str] = UNCHANGED,
        display_name: Maybe[str | None] = UNCHANGED,
        image_url: Maybe[str | None] = UNCHANGED,
        channels: Maybe[JSONObject | None] = UNCHANGED,
        properties: Maybe[JSONObject | None] = UNCHANGED,
    ) -> User:
        """Merge the given values: all others stay, ``None`` clears; ``channels`` and ``properties`` merge key by key.

        Users may update themselves, but not their name.
        Raises ``user_not_found``, ``duplicate_name`` or ``Forbidden``.
        """
        free = await self.context.unrestricted(self.principal, "users.update", user_id=user_id)
        asked = UpdateUser(user_id, name, display_name, image_url, channels, properties)
        command = _checked(await self.before(_checked(asked)))
        return await self.change(users.update, command, free, None, self._needs(command.user_id))

    @idempotent
    async def revoke_tokens(self, user_id: str, *, before: datetime | None = None) -> User:
        """Refuse from now on every token of a user that was made before ``before``, by default before now. For admins.

        Its ``iat`` says when a token was made, in whole seconds as most are: what is made in the same second is refused too. Streams that
        are open end. A later ``before`` counts, an earlier one changes nothing. Raises ``user_not_found``.
        """
        await self.context.admins_only(self.principal, "users.revoke_tokens", user_id=user_id)
        decision = partial(users.revoke_tokens, since=before)
        return await self.change(decision, UpdateUser(user_id), True, None, self._needs(user_id))

    @idempotent
    async def delete(self, user_id: str) -> None:
        """Remove a user, who leaves every conversation first. For admins. Raises ``user_not_found``."""
        await self.context.admins_only(self.principal, "users.delete", user_id=user_id)
        command = await self.before(DeleteUser(user_id))
        user = await (await self.context.storage()).get_user(self.application_id, id=command.user_id)
        host = replace(self.principal, user_name=None, trusted=True)
        while True:
            await Conversations(self.context, host).sweep_those_of(user.id)
            await leave_everywhere(Members(self.context, host), user.id)
            with suppress(users.StillMember):
                return await self.change(users.delete, command, True, None, self._needs(user.id, memberships=True))

    async def conversations(self, user_id: str, page: Page = Page()) -> Slice[tuple[Conversation, Member]]:
        """Return the conversations that a user is invited to or joined in; users see their own.

        Raises ``user_not_found`` or ``Forbidden``.
        """
        await self._self_or_admin("users.conversations", user_id)
        await (await self.context.storage()).get_user(self.application_id, id=user_id)
        return await (await self.context.storage()).list_memberships(self.application_id, user_id, page, self.context.clock())

    async def followed(self, user_id: str, limit: int, conversation_ids: Sequence[str] | None = None) -> Slice[tuple[Conversation, Member]]:
        """Return the same as ``conversations``, as a feed follows them: see ``Storage.newest_memberships``."""
        await self._self_or_admin("users.conversations", user_id)
        storage = await self.context.storage()
        await storage.get_user(self.application_id, id=user_id)
        return await storage.newest_memberships(self.application_id, user_id, limit, self.context.clock(), conversation_ids)

    @idempotent
    async def block(self, user_id: str, blocked_id: str) -> None:
        """Let a user get no invitations from another one; those that are there stay. Users block for themselves.

        Raises ``user_not_found``, ``Forbidden``, or ``Conflict`` when the user blocks ``MAX_BLOCKS`` others already.
        """
        free = await self.context.unrestricted(self.principal, "users.block", user_id=user_id)
        command = await self.before(BlockUser(user_id, blocked_id))
        check_ids(blocked_id=command.blocked_id)
        await self.change(users.block, command, free, None, self._needs(command.user_id, blocked_id=command.blocked_id))

    @idempotent
    async def unblock(self, user_id: str, blocked_id: str) -> bool:
        """Let a user get invitations from another one again; ``False`` if they did. Users unblock for themselves. Raises ``Forbidden``."""
        free = await self.context.unrestricted(self.principal, "users.unblock", user_id=user_id)
        command = await self.before(UnblockUser(user_id, blocked_id))
        check_ids(blocked_id=command.blocked_id)
        return await self.change(users.unblock, command, free, None, self._needs(command.user_id, blocked_id=command.blocked_id))

    async def blocks(self, user_id: str, page: Page = Page()) -> Slice[Block]:
        """Return the users that a user has blocked, the first one first; users see their own.

        Raises ``user_not_found`` or ``Forbidden``.
        """
        await self._self_or_admin("users.blocks", user_id)
        storage = await self.context.storage()
        await storage.get_user(self.application_id, id=user_id)
        return await storage.list_blocks(self.application_id, user_id, page)

    async def _self_or_admin(self, action: Action, user_id: str) -> bool:
        if await self.context.unrestricted(self.principal, action, user_id=user_id):
            if self.principal.user_name is not None:
                await self.context.caller(self.principal)
            return True
        caller = await self.context.caller(self.principal)
        if caller.id != user_id:
            raise Forbidden("Users see and change only themselves.")
        return False

    def _needs(self, user_id: str, *, memberships: bool = False, blocked_id: str | None = None) -> Needs:
        """Return what a decision on a user needs, who must not change meanwhile."""
        return Needs(
            caller=self.principal.user_name,
            issued_at=self.principal.issued_at,
            user_id=user_id,
            changes_user=True,
            memberships=memberships,
            blocked_id=blocked_id,
        )


def _usable(principal: Principal) -> dict[str, str | None]:
    """Return the host's details of its user that can be stored: a picture that is no URL must not keep its user out."""
    usable: dict[str, str | None] = {}
    for field, value, check in (
        ("display_name", principal.display_name, check_display_name),
        ("image_url", principal.image_url, check_image_url),
    ):
        try:
            usable[field] = check(field, value)
        except InvalidInput as error:
            logger.warning("the host's user %r is created without: %s", principal.user_name, error.description)
    return usable


def _checked(command: Any) -> Any:
    """Return the command itself, after a look at each value it sets."""
    values = changed(command, ATTRIBUTES)
    if (name := values.get("name")) is not None:
        check_name("name", name)
    check_display_name("display_name", values.get("display_name"))
    check_image_url("image_url", values.get("image_url"))
    for field in OBJECTS:
        check_object(field, values.get(field))
    return command
