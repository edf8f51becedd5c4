"""Users: createUser, getUsers, getUser, updateUser, deleteUser, getuserConversations."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from conversation_kit.domain.commands import UNCHANGED, CreateUser, DeleteUser, Maybe, UpdateUser, changed
from conversation_kit.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from conversation_kit.domain.models import Conversation, JSONObject, Member, User
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.rules import unknown_caller
from conversation_kit.domain.signals import UserCreated, UserDeleted, UserUpdated
from conversation_kit.domain.values import check_display_name, check_image_url, check_object, check_text
from conversation_kit.services.conversations import Conversations
from conversation_kit.services.core import Service
from conversation_kit.services.members import Members

logger = logging.getLogger("conversation_kit")


class Users(Service):
    """An application's users."""

    async def create(
        self,
        name: str | None = None,
        *,
        display_name: str | None = None,
        image_url: str | None = None,
        channels: JSONObject | None = None,
    ) -> User:
        """Create a user; without a name one is generated. For admins. Raises ``duplicate_name``."""
        await self.core.admins_only(self.principal, "createUser")
        command = _checked(await self.before(_checked(CreateUser(name, display_name, image_url, channels or {}))))
        user = User(
            self.application_id,
            self.core.new_id("USR"),
            command.name or self.core.new_id("NAM"),
            self.core.clock(),
            command.display_name,
            command.image_url or None,
            command.channels,
        )
        storage = await self.core.storage()
        await self.core.commit(storage.create_user, user, signals=lambda _: [UserCreated(self.application_id, user)])
        return user

    async def ensure(self, principal: Principal) -> None:
        """Create the user that ``principal`` names unless there is one: a host's own user on first sight."""
        assert principal.user_name is not None
        try:
            await (await self.core.storage()).get_user(self.application_id, name=principal.user_name)
        except NotFound:
            try:
                usable = _usable(principal)
                await self.create(principal.user_name, display_name=usable.get("display_name"), image_url=usable.get("image_url"))
            except Conflict as error:
                if error.code != "user:error:duplicate-name":
                    raise

    async def get(self, user_id: str) -> User:
        """The user with this id; users see themselves only. Raises ``user_not_found`` or ``Forbidden``."""
        await self._self_or_admin("getUser", user_id)
        return await (await self.core.storage()).get_user(self.application_id, id=user_id)

    async def named(self, name: str) -> User:
        """The user with this name; users see themselves only. Raises ``user_not_found`` or ``Forbidden``."""
        free = await self.core.unrestricted(self.principal, "getUser")
        if not free and name != self.principal.user_name:
            raise Forbidden("Users see only themselves.")
        return await (await self.core.storage()).get_user(self.application_id, name=name)

    async def list(self, page: Page = Page()) -> Slice[User]:
        """The application's users by creation. For admins."""
        await self.core.admins_only(self.principal, "getUsers")
        return await (await self.core.storage()).list_users(self.application_id, page)

    async def update(
        self,
        user_id: str,
        *,
        name: Maybe[str] = UNCHANGED,
        display_name: Maybe[str | None] = UNCHANGED,
        image_url: Maybe[str | None] = UNCHANGED,
        channels: Maybe[JSONObject | None] = UNCHANGED,
    ) -> User:
        """Merge: what is not given stays, ``None`` clears. Users may update themselves, but not their name.

        Raises ``user_not_found``, ``duplicate_name`` or ``Forbidden``.
        """
        free = await self._self_or_admin("updateUser", user_id)
        asked = UpdateUser(user_id, name, display_name, image_url, channels)
        command = _checked(await self.before(_checked(asked)))
        if not free and command.name not in (UNCHANGED, "", self.principal.user_name):
            raise Forbidden("Only an admin changes a user's name: it is what tokens carry.")
        values = _attributes(command)

        def update(old: User) -> User:
            return replace(old, **values, updated=self.core.clock())

        storage = await self.core.storage()
        return await self.core.commit(
            storage.update_user, self.application_id, command.user_id, update, signals=lambda user: [UserUpdated(self.application_id, user)]
        )

    async def delete(self, user_id: str) -> None:
        """Remove a user, who leaves every conversation first. For admins. Raises ``user_not_found``."""
        await self.core.admins_only(self.principal, "deleteUser", user_id=user_id)
        command = await self.before(DeleteUser(user_id))
        user = await (await self.core.storage()).get_user(self.application_id, id=command.user_id)
        host = replace(self.principal, user_name=None, trusted=True)
        gone = False
        while not gone:
            await Conversations(self.core, host).sweep()
            await Members(self.core, host).leave_everywhere(user.id)
            storage = await self.core.storage()
            gone = await self.core.commit(
                storage.delete_user,
                self.application_id,
                user.id,
                signals=lambda gone: [UserDeleted(self.application_id, user)] if gone else [],
            )

    async def conversations(self, user_id: str, page: Page = Page()) -> Slice[tuple[Conversation, Member]]:
        """The conversations that a user is invited to or joined in; users see their own.

        Raises ``user_not_found`` or ``Forbidden``.
        """
        await self._self_or_admin("getuserConversations", user_id)
        await (await self.core.storage()).get_user(self.application_id, id=user_id)
        return await (await self.core.storage()).list_memberships(self.application_id, user_id, page, self.core.clock())

    async def _self_or_admin(self, operation: str, user_id: str) -> bool:
        if await self.core.unrestricted(self.principal, operation, user_id=user_id):
            return True
        assert self.principal.user_name is not None
        try:
            caller = await (await self.core.storage()).get_user(self.application_id, name=self.principal.user_name)
        except NotFound as error:
            raise unknown_caller(self.principal.user_name) from error
        if caller.id != user_id:
            raise Forbidden("Users see and change only themselves.")
        return False


def _usable(principal: Principal) -> dict[str, str | None]:
    """What the host says of its user, as far as it can be stored: a picture that is no URL must not keep its user out."""
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


def _attributes(command: UpdateUser) -> dict[str, Any]:
    values = changed(command, ("name", "display_name", "image_url", "channels"))
    if "channels" in values:
        values["channels"] = values["channels"] or {}
    if "image_url" in values:
        values["image_url"] = values["image_url"] or None
    return values


def _checked(command: Any) -> Any:
    """The command itself, after a look at each value it sets."""
    values = changed(command, ("name", "display_name", "image_url", "channels"))
    if (name := values.get("name")) is not None:
        check_text("name", name)
    check_display_name("display_name", values.get("display_name"))
    check_image_url("image_url", values.get("image_url"))
    check_object("channels", values.get("channels"))
    return command
