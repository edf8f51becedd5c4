"""Conversations: createConversation, listConversations, retrieveConversation, replaceConversation, deleteConversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conversation_kit.domain import bodies
from conversation_kit.domain.commands import (
    UNCHANGED,
    CreateConversation,
    DeleteConversation,
    Maybe,
    UpdateConversation,
    changed,
)
from conversation_kit.domain.errors import Conflict, Forbidden, NotFound, conversation_not_found
from conversation_kit.domain.models import Conversation, JSONObject, Member
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.rules import is_expired, unknown_caller
from conversation_kit.domain.scene import Changes, Draft, Needs, Scene, expiry
from conversation_kit.domain.signals import ConversationCreated, ConversationDeleted, ConversationUpdated
from conversation_kit.domain.values import check_display_name, check_image_url, check_object, check_text, check_ttl, to_json
from conversation_kit.services.core import Service
from conversation_kit.services.legs import hang_up

ATTRIBUTES = ("name", "display_name", "image_url", "numbers", "properties")


class Conversations(Service):
    """An application's conversations."""

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

        ``properties.ttl`` is the number of seconds after which it is deleted while nobody is joined. Raises ``duplicate_name``.
        """
        await self.core.unrestricted(self.principal, "createConversation")
        asked = CreateConversation(name, display_name, image_url, numbers or {}, properties or {})
        command = _checked(await self.before(_checked(asked)))
        now = self.core.clock()
        conversation = Conversation(
            self.application_id,
            self.core.new_id("CON"),
            command.name or self.core.new_id("NAM"),
            now,
            command.display_name,
            command.image_url or None,
            command.numbers,
            command.properties,
            created_by=await self._caller_id(),
            expires_at=expiry(command.properties, now),
        )
        if self.core.sweep_is_due(self.application_id):
            await self._sweep()
        try:
            await self._insert(conversation)
        except Conflict:
            if not await self._sweep_all():
                raise
            await self._insert(conversation)
        return conversation

    async def _insert(self, conversation: Conversation) -> None:
        storage = await self.core.storage()
        created = [ConversationCreated(self.application_id, conversation)]
        await self.core.commit(storage.create_conversation, conversation, signals=lambda _: created)

    async def _caller_id(self) -> str | None:
        if self.principal.user_name is None:
            return None
        try:
            return (await (await self.core.storage()).get_user(self.application_id, name=self.principal.user_name)).id
        except NotFound as error:
            raise unknown_caller(self.principal.user_name) from error

    async def list(self, page: Page = Page()) -> Slice[Conversation]:
        """The application's conversations by creation. For admins."""
        await self.core.admins_only(self.principal, "listConversations")
        return await (await self.core.storage()).list_conversations(self.application_id, page, self.core.clock())

    async def get(self, conversation_id: str) -> Conversation:
        """One conversation, for its members and its creator. Raises ``conversation_not_found``."""
        access = await self.core.access(self.principal, "retrieveConversation", conversation_id=conversation_id)
        return (await (await self.core.storage()).get_conversation(access, conversation_id, 0))[0]

    async def retrieve(self, conversation_id: str, *, members: int = 1000) -> tuple[Conversation, Sequence[Member]]:
        """One conversation with at most ``members`` members: invited and joined ones first, then those that left."""
        access = await self.core.access(self.principal, "retrieveConversation", conversation_id=conversation_id)
        return await (await self.core.storage()).get_conversation(access, conversation_id, members)

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
        """Merge: what is not given stays, ``None`` clears; what changes appends ``conversation:updated``.

        For admins, joined members and the creator. Raises ``conversation_not_found``, ``duplicate_name`` or ``Forbidden``.
        """
        free = await self.core.unrestricted(self.principal, "replaceConversation", conversation_id=conversation_id)
        asked = UpdateConversation(conversation_id, name, display_name, image_url, numbers, properties)
        command = _checked(await self.before(_checked(asked)))
        values = changed(command, ATTRIBUTES)
        for field in ("numbers", "properties"):
            if field in values:
                values[field] = values[field] or {}
        if "image_url" in values:
            values["image_url"] = values["image_url"] or None

        def decide(scene: Scene) -> Changes[Conversation]:
            draft = Draft(scene, self.core.clock())
            if not free:
                self._require_say(scene, members_too=True)
            old = draft.conversation
            if all(to_json(getattr(old, field)) == to_json(value) for field, value in values.items()):
                return draft.done(old)
            draft.update(**values, updated=draft.now)
            if "properties" in values and old.joined_members == 0:
                draft.update(expires_at=expiry(values["properties"], draft.now))
            draft.append("conversation:updated", bodies.conversation_updated(draft.conversation))
            draft.announce(ConversationUpdated(self.application_id, draft.conversation))
            return draft.done(draft.conversation)

        needs = Needs(caller=self.principal.user_name)
        try:
            return await self.core.change(self.application_id, command.conversation_id, needs, decide)
        except Conflict:
            if not await self._sweep_all():
                raise
            return await self.core.change(self.application_id, command.conversation_id, needs, decide)

    async def delete(self, conversation_id: str) -> None:
        """Remove one with its members and events; its live legs are hung up and stay listed.

        For admins and the creator. Raises ``conversation_not_found`` or ``Forbidden``.
        """
        free = await self.core.unrestricted(self.principal, "deleteConversation", conversation_id=conversation_id)
        command = await self.before(DeleteConversation(conversation_id))

        def decide(scene: Scene) -> Changes[None]:
            scene.at(self.core.clock())
            if not free:
                self._require_say(scene, members_too=False)
            return self._destroy(scene)

        needs = Needs(caller=self.principal.user_name, live_legs=True)
        await self.core.change(self.application_id, command.conversation_id, needs, decide)

    async def sweep(self, limit: int = 100) -> int:
        """Remove at most ``limit`` conversations whose ``ttl`` has run out and return how many were. For admins.

        Nobody sees them any more anyway. ``create`` does the same once a minute; a quiet application may call this.
        """
        await self.core.admins_only(self.principal, "deleteConversation")
        return await self._sweep(limit)

    async def _sweep(self, limit: int = 100) -> int:
        swept = 0
        for conversation_id in await (await self.core.storage()).expired_conversations(self.application_id, self.core.clock(), limit):

            def decide(scene: Scene) -> Changes[bool]:
                conversation = scene.conversation
                if conversation is None or not is_expired(conversation, self.core.clock()):
                    return Changes(False)
                return replace(self._destroy(scene), result=True)

            swept += await self.core.change(self.application_id, conversation_id, Needs(live_legs=True), decide)
        return swept

    async def _sweep_all(self) -> int:
        """Remove whatever has expired, since it may hold a name that is wanted."""
        swept = 0
        while found := await self._sweep():
            swept += found
        return swept

    def _destroy(self, scene: Scene) -> Changes[Any]:
        now = self.core.clock()
        assert scene.conversation is not None
        gone = replace(scene.conversation, destroyed=now)
        ended = [hang_up(leg, now) for leg in scene.legs]
        return Changes(
            None,
            destroyed=True,
            legs=[leg for leg, _ in ended],
            signals=[*(signal for _, signal in ended), ConversationDeleted(self.application_id, gone)],
        )

    def _require_say(self, scene: Scene, *, members_too: bool) -> None:
        """Whether the calling user may change the conversation itself."""
        caller = scene.caller
        if caller is None:
            raise unknown_caller(self.principal.user_name or "")
        active = scene.members_of(caller)
        assert scene.conversation is not None
        if scene.conversation.created_by == caller.id or (members_too and any(member.joined for member in active)):
            return
        if not active:
            raise conversation_not_found()
        raise Forbidden("Only an admin, the creator" + (" or a joined member" if members_too else "") + " may do this.")


def _checked(command: Any) -> Any:
    """The command itself, after a look at each value it sets."""
    values = changed(command, ATTRIBUTES)
    if (name := values.get("name")) is not None:
        check_text("name", name)
    check_display_name("display_name", values.get("display_name"))
    check_image_url("image_url", values.get("image_url"))
    check_object("numbers", values.get("numbers"))
    check_ttl(check_object("properties", values.get("properties")))
    return command
