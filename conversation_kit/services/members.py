"""Members: createMember, getMembers, getMember, updateMember, deleteMember."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from conversation_kit.decisions import members
from conversation_kit.domain.actions import Action
from conversation_kit.domain.channels import APP, check_channel, named_legs
from conversation_kit.domain.commands import BanMember, InviteMember, JoinMember, RemoveMember, UnbanMember
from conversation_kit.domain.errors import Forbidden, InvalidInput
from conversation_kit.domain.models import Exclusion, JSONObject, Member, MemberState
from conversation_kit.domain.reading import MAX_PAGE, Access, Page, Slice, member_states
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.checks import MAX_ATTACHED, check_object, check_text
from conversation_kit.services.context import Service
from conversation_kit.services.idempotent import idempotent
from conversation_kit.services.iteration import every

States: TypeAlias = MemberState | str | Iterable[MemberState | str] | None


class Members(Service):
    """The memberships of one conversation."""

    async def list(self, conversation_id: str, page: Page = Page(), *, state: States = None) -> Slice[Member]:
        """Return all members, those that left too, oldest first; with ``state`` only those in this state, or in one of these.

        Raises ``conversation_not_found`` or ``InvalidInput``.
        """
        access = await self.context.access(self.principal, "members.list", conversation_id=conversation_id)
        return await (await self.context.storage()).list_members(access, conversation_id, page, member_states(state))

    async def all(self, conversation_id: str, *, state: States = None) -> AsyncIterator[Member]:
        """Iterate over all members, those that left too, oldest first, with ``async for``; with ``state`` as ``list`` has it.

        Raises ``conversation_not_found`` or ``InvalidInput``.
        """
        wanted = member_states(state)
        # Read without the filter: a member that changes its state moves nobody in the list of all, and so nobody is missed.
        async for member in every(partial(self.list, conversation_id), Page(max_bytes=MAX_PAGE)):
            if wanted is None or member.state in wanted:
                yield member

    async def find(
        self, conversation_id: str, *, user_id: str | None = None, user_name: str | None = None, state: States = None
    ) -> Sequence[Member]:
        """Return the members that match all that is given, oldest first. Raises ``conversation_not_found`` or ``InvalidInput``."""
        return [
            member
            async for member in self.all(conversation_id, state=state)
            if (user_id is None or member.user_id == user_id) and (user_name is None or member.user_name == user_name)
        ]

    async def get(self, conversation_id: str, member_id: str) -> Member:
        """Return one member.

        Raises ``conversation_not_found`` or ``member_not_found``.
        """
        access = await self.context.access(self.principal, "members.get", conversation_id=conversation_id, member_id=member_id)
        return await (await self.context.storage()).get_member(access, conversation_id, member_id)

    @idempotent
    async def invite(
        self,
        conversation_id: str,
        *,
        user_id: str | None = None,
        user_name: str | None = None,
        channel: JSONObject | None = None,
        media: JSONObject | None = None,
        member_id_inviting: str | None = None,
        knocking_id: str | None = None,
    ) -> Member:
        """Invite a user, named by id or by name, over ``channel`` (default: app). Appends ``member:invited``.

        An admin's invitation lifts a ban, anybody's what keeps out who was removed. For admins and joined members, within the kit's
        ``invitation_limits`` and unless the user has blocked the inviter. ``member_id_inviting`` is the joined member that invites;
        a user's own one by default.
        Raises ``conversation_not_found``, ``user_not_found``, ``Conflict``, ``Forbidden`` or ``TooManyRequests``.
        """
        free = await self.context.unrestricted(
            self.principal, "members.invite", conversation_id=conversation_id, user_id=user_id, user_name=user_name
        )
        asked = InviteMember(
            conversation_id, user_id, user_name, APP if channel is None else channel, media, member_id_inviting, knocking_id
        )
        _checked(asked)
        if (limiter := self.context.limiter) is not None:
            await limiter.take(self.principal, {"invitations": 1})
        command = _checked(await self.before(asked))
        needs = self._needs(command, command.member_id_inviting)
        return await self.change(members.invite, command, free, command.conversation_id, needs)

    @idempotent
    async def join(
        self,
        conversation_id: str,
        *,
        user_id: str | None = None,
        user_name: str | None = None,
        member_id: str | None = None,
        channel: JSONObject | None = None,
        media: JSONObject | None = None,
        member_id_inviting: str | None = None,
        knocking_id: str | None = None,
    ) -> Member:
        """Make a user a joined member, or the invitation that ``member_id`` (or the user) holds an accepted one.

        Appends ``member:joined``, and ``member:media`` when audio is enabled. An accepted invitation keeps its member id. For admins,
        and for users that join themselves, as far as the kit's ``join`` lets them in and nobody has removed or banned them.
        Raises ``conversation_not_found``, ``user_not_found``, ``member_not_found``, ``Conflict`` or ``Forbidden``.
        """
        if user_id is None and user_name is None and member_id is None:
            user_name = self.principal.user_name
        free = await self.context.unrestricted(
            self.principal,
            "members.join",
            conversation_id=conversation_id,
            user_id=user_id,
            user_name=user_name,
            member_id=member_id,
        )
        asked = JoinMember(conversation_id, user_id, user_name, member_id, channel, media, member_id_inviting, knocking_id)
        command = _checked(await self.before(_checked(asked)))
        needs = replace(
            self._needs(command, command.member_id_inviting, command.member_id),
            user_of=command.member_id if command.user_id is None and command.user_name is None else None,
            live_legs=command.channel is not None or command.knocking_id is not None,
        )
        return await self.change(members.join, command, free, command.conversation_id, needs)

    @idempotent
    async def remove(
        self,
        conversation_id: str,
        member_id: str,
        *,
        sender: str | None = None,
        reason_code: str | None = None,
        reason_text: str | None = None,
        may_return: bool = False,
    ) -> Member:
        """Leave, decline or be removed: the state becomes ``left``, live legs are hung up. Appends ``member:left``.

        Who was joined and is removed by somebody else needs an invitation to join again, unless ``may_return``; a conversation's creator
        does not. For admins, the creator, the member itself and who invited it. Raises ``conversation_not_found``,
        ``member_not_found``, ``Conflict`` (left already) or ``Forbidden``.
        """
        free = await self.context.unrestricted(self.principal, "members.remove", conversation_id=conversation_id, member_id=member_id)
        command = await self.before(RemoveMember(conversation_id, member_id, sender, reason_code, reason_text, may_return))
        for field, text in (("reason_code", command.reason_code), ("reason_text", command.reason_text)):
            check_text(field, text or "")
        needs = Needs(
            caller=self.principal.user_name,
            issued_at=self.principal.issued_at,
            members=tuple(id for id in (command.member_id, command.sender) if id is not None),
            live_legs=True,
        )
        return await self.change(members.remove, command, free, command.conversation_id, needs)

    @idempotent
    async def ban(
        self, conversation_id: str, *, user_id: str | None = None, user_name: str | None = None, reason: str | None = None
    ) -> Exclusion:
        """Remove a user, named by id or by name, a member or not, and keep them out. Appends ``member:left`` and ``member:banned``.

        Only an admin lets them in again, with ``invite``, ``join`` or ``unban``. For admins. Raises ``conversation_not_found``,
        ``user_not_found`` or ``Forbidden``.
        """
        await self._admins_only("members.ban", conversation_id, user_id, user_name)
        command = await self.before(BanMember(conversation_id, user_id, user_name, reason))
        check_text("reason", command.reason or "")
        needs = self._needs_of_exclusion(command.user_id, command.user_name)
        return await self.change(members.ban, command, True, command.conversation_id, needs)

    @idempotent
    async def unban(self, conversation_id: str, *, user_id: str | None = None, user_name: str | None = None) -> bool:
        """Let a user who was banned or removed join again; ``False`` if nothing kept them out. Appends ``member:unbanned`` after a ban.

        For admins. Raises ``conversation_not_found``, ``user_not_found`` or ``Forbidden``.
        """
        await self._admins_only("members.unban", conversation_id, user_id, user_name)
        command = await self.before(UnbanMember(conversation_id, user_id, user_name))
        needs = self._needs_of_exclusion(command.user_id, command.user_name)
        return await self.change(members.unban, command, True, command.conversation_id, needs)

    async def exclusions(self, conversation_id: str, page: Page = Page()) -> Slice[Exclusion]:
        """Return users who were banned or removed and may not join, oldest first. For admins. Raises ``conversation_not_found``."""
        await self._admins_only("members.exclusions", conversation_id)
        access = Access(self.application_id, self.context.clock())
        return await (await self.context.storage()).list_exclusions(access, conversation_id, page)

    async def _admins_only(self, action: Action, conversation_id: str, user_id: str | None = None, user_name: str | None = None) -> None:
        free = await self.context.unrestricted(
            self.principal, action, conversation_id=conversation_id, user_id=user_id, user_name=user_name
        )
        if not free:
            # The same for conversations that do not exist.
            raise Forbidden("Only an admin bans and lets in again.")

    def _needs_of_exclusion(self, user_id: str | None, user_name: str | None) -> Needs:
        return Needs(
            caller=self.principal.user_name,
            issued_at=self.principal.issued_at,
            user_id=user_id,
            user_name=user_name,
            live_legs=True,
            exclusion=True,
        )

    def _needs(self, command: InviteMember | JoinMember, *member_ids: str | None) -> Needs:
        return Needs(
            caller=self.principal.user_name,
            issued_at=self.principal.issued_at,
            user_id=command.user_id,
            user_name=command.user_name,
            members=tuple(id for id in member_ids if id is not None),
            legs=named_legs(command.channel or {}),
            knocking_id=command.knocking_id,
            exclusion=True,
            invitations=isinstance(command, InviteMember) and not self.principal.is_admin,
        )


C = TypeVar("C", InviteMember, JoinMember)


def _checked(command: C) -> C:
    """Return the command itself, after a look at its channel and media."""
    if command.channel is not None:
        check_channel(check_object("channel", command.channel, limit=MAX_ATTACHED))
        named_legs(command.channel)
    if command.media is not None:
        check_object("media", command.media, limit=MAX_ATTACHED)
    if isinstance(command, InviteMember) and command.user_id is None and command.user_name is None:
        raise InvalidInput({"user_id": "is needed, or user_name"})
    return command
