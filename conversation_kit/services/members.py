"""Members: createMember, getMembers, getMember, updateMember, deleteMember."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from conversation_kit.domain import bodies
from conversation_kit.domain.commands import InviteMember, JoinMember, RemoveMember
from conversation_kit.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RequestError,
    conversation_not_found,
    user_not_found,
)
from conversation_kit.domain.models import JSONObject, Member, MemberState, User
from conversation_kit.domain.reading import Access, Page, Slice
from conversation_kit.domain.rules import (
    acting_member,
    already_joined,
    check_channel,
    check_vacancy,
    require_member,
    require_present,
)
from conversation_kit.domain.scene import Changes, Draft, Needs, Scene
from conversation_kit.domain.signals import MemberInvited, MemberJoined, MemberLeft
from conversation_kit.domain.values import MAX_ATTACHED, check_object, check_text
from conversation_kit.services.channels import connect, named_legs, without_legs
from conversation_kit.services.core import Service
from conversation_kit.services.legs import end_legs, save_leg

APP: JSONObject = {"type": "app"}


class Members(Service):
    """The memberships of one conversation."""

    async def list(self, conversation_id: str, page: Page = Page()) -> Slice[Member]:
        """All of them, those that left too, oldest first. Raises ``conversation_not_found``."""
        access = await self.core.access(self.principal, "getMembers", conversation_id=conversation_id)
        return await (await self.core.storage()).list_members(access, conversation_id, page)

    async def get(self, conversation_id: str, member_id: str) -> Member:
        """One of them. Raises ``conversation_not_found`` or ``member_not_found``."""
        access = await self.core.access(self.principal, "getMember", conversation_id=conversation_id, member_id=member_id)
        return await (await self.core.storage()).get_member(access, conversation_id, member_id)

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

        For admins and joined members. ``member_id_inviting`` is the joined member that invites; a user's own one by default.
        Raises ``conversation_not_found``, ``user_not_found``, ``Conflict`` or ``Forbidden``.
        """
        free = await self.core.unrestricted(
            self.principal, "createMember", action="invite", conversation_id=conversation_id, user_id=user_id, user_name=user_name
        )
        asked = InviteMember(
            conversation_id, user_id, user_name, APP if channel is None else channel, media, member_id_inviting, knocking_id
        )
        command = _checked(await self.before(_checked(asked)))

        def decide(scene: Scene) -> Changes[Member]:
            draft = Draft(scene, self.core.clock())
            inviter = acting_member(scene, command.member_id_inviting, "member_id_inviting", free=free)
            user = _require_user(scene, command.user_id, command.user_name)
            check_vacancy(scene, user, command.channel["type"], joining=False, limit=self.core.max_members)
            member = Member(
                self.application_id,
                command.conversation_id,
                self.core.new_id("MEM"),
                user.id,
                user.name,
                MemberState.INVITED,
                without_legs(command.channel),
                draft.now,
                initiator={"invited": self._initiator(scene, inviter)},
                media=command.media,
                invited_by=inviter.user_id if inviter else None,
                invited=draft.now,
            )
            member, legs = connect(scene, draft, draft.begin(member), command.channel, command.knocking_id, free=free)
            draft.save_member(member)
            draft.append("member:invited", bodies.member_invited(draft.conversation, member, user, inviter), sender=member.id)
            draft.announce(MemberInvited(self.application_id, member))
            for leg in legs:
                save_leg(draft, leg)
            return draft.done(member)

        return await self.core.change(
            self.application_id, command.conversation_id, self._needs(command, command.member_id_inviting), decide
        )

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
        operation: str = "createMember",
    ) -> Member:
        """Make a user a joined member, or the invitation that ``member_id`` (or the user) holds an accepted one.

        Appends ``member:joined``, and ``member:media`` when audio is enabled. An accepted invitation keeps its member id. For admins,
        and for users that join themselves. ``operation`` is what an ``authorize`` callable gets to see.
        Raises ``conversation_not_found``, ``user_not_found``, ``member_not_found``, ``Conflict`` or ``Forbidden``.
        """
        if user_id is None and user_name is None and member_id is None:
            user_name = self.principal.user_name
        free = await self.core.unrestricted(
            self.principal,
            operation,
            action="join",
            conversation_id=conversation_id,
            user_id=user_id,
            user_name=user_name,
            member_id=member_id,
        )
        asked = JoinMember(conversation_id, user_id, user_name, member_id, channel, media, member_id_inviting, knocking_id)
        command = _checked(await self.before(_checked(asked)))
        joining = await self._user_of(command)

        def decide(scene: Scene) -> Changes[Member]:
            draft = Draft(scene, self.core.clock())
            inviter = (
                acting_member(scene, command.member_id_inviting, "member_id_inviting", free=free) if command.member_id_inviting else None
            )
            held, user = self._who_joins(scene, command, free=free)
            channel = command.channel if command.channel is not None else held.channel if held else APP
            if held is None:
                check_vacancy(scene, user, channel["type"], joining=True, limit=self.core.max_members)
                held = draft.begin(
                    Member(
                        self.application_id,
                        command.conversation_id,
                        self.core.new_id("MEM"),
                        user.id,
                        user.name,
                        MemberState.JOINED,
                        without_legs(channel),
                        draft.now,
                    )
                )
            elif command.channel is not None:
                if held.channel_type != channel["type"]:
                    end_legs(draft, held)
                    held = replace(held, channel={})
                others = [one for one in scene.members_of(user) if one.id != held.id]
                check_vacancy(replace(scene, members=others), user, channel["type"], joining=True, limit=self.core.max_members + 1)
                held = replace(held, channel={**held.channel, **without_legs(channel)})
            member = replace(
                held,
                state=MemberState.JOINED,
                joined=draft.now,
                media=command.media if command.media is not None else held.media,
            )
            joined_by = {"joined": self._initiator(scene, inviter, themselves=member)}
            member = replace(member, initiator={**held.initiator, **joined_by})
            member, legs = connect(scene, draft, member, command.channel or {}, command.knocking_id, free=free)
            draft.save_member(member)
            draft.append("member:joined", bodies.member_joined(member, user), sender=member.id)
            draft.announce(MemberJoined(self.application_id, member))
            if bodies.has_audio(member):
                draft.append("member:media", bodies.member_media(member), sender=member.id)
            for leg in legs:
                save_leg(draft, leg)
            return draft.done(member)

        return await self.core.change(
            self.application_id,
            command.conversation_id,
            replace(
                self._needs(command, command.member_id_inviting, command.member_id),
                user_id=joining,
                live_legs=command.channel is not None,
            ),
            decide,
        )

    async def _user_of(self, command: JoinMember) -> str | None:
        """The id of the user who joins, as far as the command or the member that it names tells."""
        if command.user_id is not None or command.user_name is not None or command.member_id is None:
            return command.user_id
        everything = Access(self.application_id, self.core.clock())
        try:
            member = await (await self.core.storage()).get_member(everything, command.conversation_id, command.member_id)
        except NotFound:
            # The decision says so, in the order in which it may be told.
            return None
        return member.user_id

    def _who_joins(self, scene: Scene, command: JoinMember, *, free: bool) -> tuple[Member | None, User]:
        """The invitation that is accepted, if there is one, and the user who joins."""
        caller, user = scene.caller, scene.user
        if command.member_id is not None:
            named = scene.member(command.member_id)
            mine = named is not None and caller is not None and named.user_id == caller.id
            if not free and not mine and not scene.members_of(caller):
                raise conversation_not_found()
            member = require_member(scene, command.member_id)
            if not free and not mine:
                raise Forbidden("Users join only themselves.")
            wrong = {
                name: "is not the member's"
                for name, given, actual in (
                    ("user_id", command.user_id, member.user_id),
                    ("user_name", command.user_name, member.user_name),
                )
                if given is not None and given != actual
            }
            if wrong:
                raise InvalidInput(wrong)
            require_present(member)
            if member.state is MemberState.JOINED:
                raise already_joined(member)
            return member, user or User(self.application_id, member.user_id, member.user_name, member.created)
        if not free and (user is None or caller is None or user.id != caller.id):
            raise Forbidden("Users join only themselves.")
        user = _require_user(scene, command.user_id, command.user_name)
        invited = scene.members_of(user, MemberState.INVITED)
        if command.channel is not None:
            invited = [member for member in invited if member.channel_type == command.channel["type"]]
        return (invited[0] if invited else None), user

    async def remove(
        self,
        conversation_id: str,
        member_id: str,
        *,
        sender: str | None = None,
        reason_code: str | None = None,
        reason_text: str | None = None,
    ) -> Member:
        """Leave, decline or be removed: the state becomes ``left``, live legs are hung up. Appends ``member:left``.

        For admins, for the member itself and for who invited it. Raises ``conversation_not_found``, ``member_not_found``,
        ``Conflict`` (left already) or ``Forbidden``.
        """
        free = await self.core.unrestricted(self.principal, "deleteMember", conversation_id=conversation_id, member_id=member_id)
        command = await self.before(RemoveMember(conversation_id, member_id, sender, reason_code, reason_text))
        for field, text in (("reason_code", command.reason_code), ("reason_text", command.reason_text)):
            check_text(field, text or "")

        def decide(scene: Scene) -> Changes[Member]:
            draft = Draft(scene, self.core.clock())
            actor = self._remover(scene, command, free=free)
            member = require_present(require_member(scene, command.member_id))
            left_by = {"left": self._initiator(scene, actor, themselves=member)}
            member = replace(member, state=MemberState.LEFT, left=draft.now, initiator={**member.initiator, **left_by})
            draft.save_member(member)
            end_legs(draft, member)
            body = bodies.member_left(member, command.reason_code, command.reason_text)
            draft.append("member:left", body, sender=member.id)
            draft.announce(MemberLeft(self.application_id, member))
            return draft.done(member)

        needs = Needs(
            caller=self.principal.user_name,
            members=tuple(id for id in (command.member_id, command.sender) if id is not None),
            live_legs=True,
        )
        return await self.core.change(self.application_id, command.conversation_id, needs, decide)

    def _remover(self, scene: Scene, command: RemoveMember, *, free: bool) -> Member | None:
        """The member on whose behalf another one goes, after a look at whether it may."""
        caller = scene.caller
        if free or caller is None:
            return acting_member(scene, command.sender, "from", free=True)
        own = scene.members_of(caller)
        target = scene.member(command.member_id)
        if target is not None and target.user_id == caller.id:
            return target
        if not own:
            raise conversation_not_found()
        target = require_member(scene, command.member_id)
        if command.sender is not None and all(member.id != command.sender for member in own):
            raise Forbidden("from must be a member of your own.")
        if target.invited_by != caller.id:
            raise Forbidden("You may remove yourself and the members that you invited.")
        return next((member for member in own if member.id == command.sender), own[0])

    async def leave_everywhere(self, user_id: str) -> None:
        """Let a user leave every conversation. For admins."""
        await self.core.admins_only(self.principal, "deleteMember", user_id=user_id)
        tried: dict[str, RequestError] = {}
        while True:
            memberships = await (await self.core.storage()).list_memberships(self.application_id, user_id, Page(), self.core.clock())
            if not memberships.items:
                return
            for conversation, member in memberships.items:
                if member.id in tried:
                    raise tried[member.id]
                tried[member.id] = Conflict(f"Member {member.id!r} does not leave, although it was asked to.")
                try:
                    await self.remove(conversation.id, member.id)
                except (Conflict, NotFound) as error:
                    # It may have left by itself meanwhile; if it is still there the next time, this is why.
                    tried[member.id] = error

    def _initiator(self, scene: Scene, actor: Member | None, *, themselves: Member | None = None) -> JSONObject:
        """Who brought a member to a state: a member, or the application itself."""
        if actor is not None:
            return {"user_id": actor.user_id, "member_id": actor.id}
        caller = scene.caller
        if caller is None:
            return {"isSystem": True}
        own = scene.members_of(caller)
        member_id = themselves.id if themselves and themselves.user_id == caller.id else own[0].id if own else None
        return bodies.without_none(user_id=caller.id, member_id=member_id)

    def _needs(self, command: InviteMember | JoinMember, *member_ids: str | None) -> Needs:
        return Needs(
            caller=self.principal.user_name,
            user_id=command.user_id,
            user_name=command.user_name,
            members=tuple(id for id in member_ids if id is not None),
            legs=named_legs(command.channel or {}),
            knocking_id=command.knocking_id,
        )


C = TypeVar("C", InviteMember, JoinMember)


def _checked(command: C) -> C:
    """The command itself, after a look at its channel and media."""
    if command.channel is not None:
        check_channel(check_object("channel", command.channel, limit=MAX_ATTACHED))
        named_legs(command.channel)
    if command.media is not None:
        check_object("media", command.media, limit=MAX_ATTACHED)
    if isinstance(command, InviteMember) and command.user_id is None and command.user_name is None:
        raise InvalidInput({"user_id": "is needed, or user_name"})
    return command


def _require_user(scene: Scene, user_id: str | None, user_name: str | None) -> User:
    user = scene.user
    if user is None:
        if user_id is None and user_name is None:
            raise InvalidInput({"user_id": "is needed, or user_name"})
        raise user_not_found(user_id or user_name or "")
    if user_name is not None and user.name != user_name:
        raise InvalidInput({"user_name": "is not the user's"})
    return user
