"""Conversations: createConversation, listConversations, retrieveConversation, replaceConversation, deleteConversation."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from conversation_kit.decisions import conversations
from conversation_kit.decisions.conversations import ATTRIBUTES
from conversation_kit.domain.commands import (
    UNCHANGED,
    CreateConversation,
    DeleteConversation,
    Maybe,
    UpdateConversation,
    changed,
)
from conversation_kit.domain.errors import Conflict, Forbidden, HookFailed, RequestError
from conversation_kit.domain.models import Conversation, JSONObject, Member
from conversation_kit.domain.principals import Actor, Principal
from conversation_kit.domain.reading import MAX_PAGE, Page, Slice
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.checks import check_display_name, check_image_url, check_object, check_ttl
from conversation_kit.domain.values.names import check_name
from conversation_kit.services.context import Service
from conversation_kit.services.idempotent import idempotent
from conversation_kit.services.iteration import every

logger = logging.getLogger("conversation_kit")


class Conversations(Service):
    """An application's conversations."""

    @idempotent
    async def create(
        self,
        name: str | None = None,
        *,
        display_name: str | None = None,
        image_url: str | None = None,
        numbers: JSONObject | None = None,
        properties: JSONObject | None = None,
    ) -> Conversation:
        """Create one without members; without a name one is generated.

        ``properties.ttl`` is the number of seconds after which it is deleted while nobody is joined. Raises ``duplicate_name``,
        ``TooManyRequests``, and ``Forbidden`` for a ``ttl`` where an ``authorize`` callable forbids this caller to delete conversations.
        """
        free = await self.context.unrestricted(self.principal, "conversations.create")
        asked = CreateConversation(name, display_name, image_url, numbers or {}, properties or {})
        _checked(asked)
        if (limiter := self.context.limiter) is not None:
            await limiter.take(self.principal, {"conversations": 1})
        command = _checked(await self.before(asked))
        if check_ttl(command.properties) is not None:
            await self.context.unrestricted(self.principal, "conversations.delete")
        if self.context.sweep_is_due(self.application_id):
            await self._sweep_in_passing()
        moment = self.context.moment()
        needs = Needs(caller=self.principal.user_name, issued_at=self.principal.issued_at)
        create = partial(self.change, conversations.create, command, free, moment.id("CON"), needs, moment)
        try:
            return await create()
        except Conflict:
            if not command.name or not await self._sweep(name=command.name):
                raise
            return await create()

    async def list(self, page: Page = Page()) -> Slice[Conversation]:
        """Return the application's conversations by creation; for admins."""
        await self.context.admins_only(self.principal, "conversations.list")
        return await (await self.context.storage()).list_conversations(self.application_id, page, self.context.clock())

    def all(self) -> AsyncIterator[Conversation]:
        """Iterate over the application's conversations by creation, with ``async for``; for admins."""
        return every(self.list, Page(max_bytes=MAX_PAGE))

    async def get(self, conversation_id: str) -> Conversation:
        """Return one conversation, for its members and its creator.

        Raises ``conversation_not_found``.
        """
        access = await self.context.access(self.principal, "conversations.get", conversation_id=conversation_id)
        return (await (await self.context.storage()).get_conversation(access, conversation_id, 0))[0]

    async def retrieve(
        self, conversation_id: str, *, members: int = 1000, max_bytes: int | None = None
    ) -> tuple[Conversation, Sequence[Member]]:
        """Return one conversation with at most ``members`` members and ``max_bytes`` of their JSON: first those that have not left."""
        access = await self.context.access(self.principal, "conversations.get", conversation_id=conversation_id)
        return await (await self.context.storage()).get_conversation(access, conversation_id, members, max_bytes)

    @idempotent
    async def update(
        self,
        conversation_id: str,
        *,
        name: Maybe[str] = UNCHANGED,
        display_name: Maybe[str | None] = UNCHANGED,
        image_url: Maybe[str | None] = UNCHANGED,
        numbers: Maybe[JSONObject | None] = UNCHANGED,
        properties: Maybe[JSONObject | None] = UNCHANGED,
    ) -> Conversation:
        """Merge the given values: all others stay, ``None`` clears; ``numbers`` and ``properties`` merge key by key.

        What changes appends ``conversation:updated``. For admins, joined members and the creator; ``properties.ttl`` for those who may
        delete the conversation. Raises ``conversation_not_found``, ``duplicate_name`` or ``Forbidden``.
        """
        free = await self.context.unrestricted(self.principal, "conversations.update", conversation_id=conversation_id)
        asked = UpdateConversation(conversation_id, name, display_name, image_url, numbers, properties)
        command = _checked(await self.before(_checked(asked)))
        deleting = await self._deleting(conversation_id) if command.properties is not UNCHANGED else Actor(self.principal, False)
        decision = partial(conversations.update, deleting=deleting)
        needs = Needs(caller=self.principal.user_name, issued_at=self.principal.issued_at)
        try:
            return await self.change(decision, command, free, command.conversation_id, needs)
        except Conflict:
            if not isinstance(command.name, str) or not await self._sweep(name=command.name):
                raise
            return await self.change(decision, command, free, command.conversation_id, needs)

    @idempotent
    async def delete(self, conversation_id: str) -> None:
        """Remove one with its members and events; its live legs are hung up and stay listed.

        For admins and the creator. Raises ``conversation_not_found`` or ``Forbidden``.
        """
        free = await self.context.unrestricted(self.principal, "conversations.delete", conversation_id=conversation_id)
        command = await self.before(DeleteConversation(conversation_id))
        needs = Needs(caller=self.principal.user_name, issued_at=self.principal.issued_at, live_legs=True)
        await self.change(conversations.delete, command, free, command.conversation_id, needs)

    async def sweep(self, limit: int = 100) -> int:
        """Remove at most ``limit`` conversations whose ``ttl`` has run out and return how many were. For admins.

        Nobody sees them any more anyway. ``create`` does the same once a minute; a quiet application may call this. Hooks before
        ``DeleteConversation`` see each of them; one that is refused is there again until it is next empty. Raises ``HookFailed`` when a
        hook failed; the others are removed all the same.
        """
        await self.context.admins_only(self.principal, "conversations.delete")
        return await self._sweep(limit)

    async def sweep_those_of(self, user_id: str) -> None:
        """Remove at most 100 conversations whose ``ttl`` has run out and to which the user is still invited. For admins."""
        await self.context.admins_only(self.principal, "conversations.delete")
        await self._sweep(user_id=user_id)

    async def _sweep(self, limit: int = 100, *, name: str | None = None, user_id: str | None = None) -> int:
        storage, swept, failure = await self.context.storage(), 0, None
        found = await storage.expired_conversations(self.application_id, self.context.clock(), limit, name=name, user_id=user_id)
        for conversation_id in found:
            try:
                swept += await self._expire(conversation_id)
            except HookFailed as error:
                failure = error
        if failure is not None:
            raise failure
        return swept

    async def _expire(self, conversation_id: str) -> bool:
        """Remove a conversation whose time has run out, or keep it if a hook says so. Tells whether it is removed."""
        host = Principal(self.application_id, trusted=True)
        command = DeleteConversation(conversation_id, is_expiry=True)
        is_kept = False
        try:
            await self.context.hooks.run(command, host)
        except RequestError:
            is_kept = True
        decision = partial(conversations.expire, is_kept=is_kept)
        return await self.context.change(decision, command, Actor(host, True), conversation_id, Needs(live_legs=True))

    async def _sweep_in_passing(self) -> None:
        try:
            await self._sweep()
        except HookFailed as error:
            logger.warning("conversations whose ttl has run out are removed later: %s", error)

    async def _deleting(self, conversation_id: str) -> Actor | Forbidden:
        """Return the caller as it may delete the conversation, or the refusal of an ``authorize`` callable."""
        try:
            free = await self.context.unrestricted(self.principal, "conversations.delete", conversation_id=conversation_id)
        except Forbidden as error:
            return error
        return Actor(self.principal, free)


def _checked(command: Any) -> Any:
    """Return the command itself, after a look at each value it sets."""
    values = changed(command, ATTRIBUTES)
    if (name := values.get("name")) is not None:
        check_name("name", name)
    check_display_name("display_name", values.get("display_name"))
    check_image_url("image_url", values.get("image_url"))
    check_object("numbers", values.get("numbers"))
    check_ttl(check_object("properties", values.get("properties")))
    return command
