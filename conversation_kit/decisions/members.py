"""Decisions on members: who is invited, who joins, who leaves, and who is banned."""

from __future__ import annotations

from dataclasses import replace

from conversation_kit.decisions import bodies
from conversation_kit.decisions.exclusions import keep_out, readmit
from conversation_kit.decisions.initiators import initiator
from conversation_kit.decisions.legs import connect, end_legs, save_leg
from conversation_kit.decisions.rights import require_joining, require_remover, require_user
from conversation_kit.domain.channels import APP, without_legs
from conversation_kit.domain.commands import BanMember, InviteMember, JoinMember, RemoveMember, UnbanMember
from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Exclusion, ExclusionKind, JSONObject, Member, MemberState, User
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.rules import (
    acting_member,
    check_admission,
    check_invitation,
    check_vacancy,
    require_member,
    require_present,
)
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.signals import MemberInvited, MemberJoined, MemberLeft
from conversation_kit.domain.values.moments import Moment
from conversation_kit.domain.values.patches import merged


def invite(scene: Scene, command: InviteMember, actor: Actor, moment: Moment) -> Changes[Member]:
    """Make a user an invited member. Appends ``member:invited``, after ``member:unbanned`` if that lifts a ban."""
    draft = Draft(scene, moment.now)
    inviter = acting_member(scene, command.member_id_inviting, "member_id_inviting", free=actor.is_free)
    user = require_user(scene, command.user_id, command.user_name)
    if not actor.principal.is_admin:
        check_invitation(scene, actor.policy.invitation_limits, free=actor.is_free)
    check_vacancy(scene, user, command.channel["type"], joining=False, limit=actor.policy.max_members)
    readmit(draft, user)
    member = replace(
        _new_member(draft, user, MemberState.INVITED, command.channel, moment),
        initiator={"invited": initiator(scene, inviter)},
        media=command.media,
        invited_by=inviter.user_id if inviter else None,
        invited=draft.now,
    )
    member, legs = connect(draft, member, command.channel, command.knocking_id, actor, moment)
    draft.save_member(member)
    draft.append("member:invited", bodies.member_invited(draft.conversation, member, user, inviter), sender=member.id)
    draft.announce(MemberInvited(actor.application_id, member))
    for leg in legs:
        save_leg(draft, leg)
    return draft.done(member)


def join(scene: Scene, command: JoinMember, actor: Actor, moment: Moment) -> Changes[Member]:
    """Make a user a joined member, by an invitation if it holds one. Appends ``member:joined``, and ``member:media`` with audio enabled."""
    draft = Draft(scene, moment.now)
    free = actor.is_free
    inviter = acting_member(scene, command.member_id_inviting, "member_id_inviting", free=free) if command.member_id_inviting else None
    invitation, user = require_joining(scene, command, actor)
    if not actor.principal.is_admin:
        check_admission(scene, user, invitation, actor.policy.join, free=free)
    readmit(draft, user)
    if invitation is None:
        channel = command.channel if command.channel is not None else APP
        check_vacancy(scene, user, channel["type"], joining=True, limit=actor.policy.max_members)
        before = _new_member(draft, user, MemberState.JOINED, channel, moment)
    elif command.channel is not None:
        before = _over(draft, invitation, user, command.channel, actor)
    else:
        before = invitation
    member = replace(before, state=MemberState.JOINED, joined=draft.now, media=command.media if command.media is not None else before.media)
    joined_by = {"joined": initiator(scene, inviter, themselves=member)}
    member = replace(member, initiator={**before.initiator, **joined_by})
    member, legs = connect(draft, member, command.channel or {}, command.knocking_id, actor, moment)
    draft.save_member(member)
    draft.append("member:joined", bodies.member_joined(member, user), sender=member.id)
    draft.announce(MemberJoined(actor.application_id, member))
    if bodies.has_audio(member):
        draft.append("member:media", bodies.member_media(member, joined_by["joined"]), sender=member.id)
    for leg in legs:
        save_leg(draft, leg)
    return draft.done(member)


def remove(scene: Scene, command: RemoveMember, actor: Actor, moment: Moment) -> Changes[Member]:
    """Let a member leave, of its own accord or not. Appends ``member:left``."""
    draft = Draft(scene, moment.now)
    remover = require_remover(scene, command, actor)
    member = require_present(require_member(scene, command.member_id))
    if not command.may_return:
        keep_out(draft, member, remover)
    return draft.done(_leave(draft, member, remover, command.reason_code, command.reason_text))


def ban(scene: Scene, command: BanMember, actor: Actor, moment: Moment) -> Changes[Exclusion]:
    """Let a user's members leave, and keep them out until an admin lets them in. Appends ``member:banned``, once for each ban."""
    draft = Draft(scene, moment.now)
    user = require_user(scene, command.user_id, command.user_name)
    if scene.exclusion is not None and scene.exclusion.kind is ExclusionKind.BANNED:
        return draft.done(scene.exclusion)
    for member in scene.members_of(user):
        _leave(draft, member, None, "banned", command.reason)
    by = scene.caller.id if scene.caller is not None else None
    conversation = draft.conversation
    exclusion = Exclusion(conversation.application_id, conversation.id, user.id, ExclusionKind.BANNED, draft.now, by, command.reason)
    draft.exclude(exclusion)
    draft.append("member:banned", bodies.member_banned(user, initiator(scene, None), draft.now, command.reason))
    return draft.done(exclusion)


def unban(scene: Scene, command: UnbanMember, actor: Actor, moment: Moment) -> Changes[bool]:
    """Let a user who was banned or removed join again. The answer says whether anything kept them out."""
    draft = Draft(scene, moment.now)
    readmit(draft, require_user(scene, command.user_id, command.user_name))
    return draft.done(scene.exclusion is not None)


def _new_member(draft: Draft, user: User, state: MemberState, channel: JSONObject, moment: Moment) -> Member:
    """Return a membership that begins now."""
    conversation = draft.conversation
    member = Member(
        conversation.application_id,
        conversation.id,
        moment.id("MEM"),
        user.id,
        user.name,
        state,
        without_legs(channel),
        draft.now,
        display_name=user.display_name,
        image_url=user.image_url,
    )
    return draft.begin(member)


def _over(draft: Draft, invitation: Member, user: User, channel: JSONObject, actor: Actor) -> Member:
    """Return an invitation over another channel than before; legs of another type are hung up."""
    if invitation.channel_type != channel["type"]:
        end_legs(draft, invitation)
        invitation = replace(invitation, channel={})
    others = [one for one in draft.scene.members_of(user) if one.id != invitation.id]
    # The invitation has its place already.
    limit = actor.policy.max_members + 1
    check_vacancy(replace(draft.scene, members=others), user, channel["type"], joining=True, limit=limit)
    return replace(invitation, channel=merged(invitation.channel, without_legs(channel)))


def _leave(draft: Draft, member: Member, remover: Member | None, code: str | None, text: str | None) -> Member:
    """Let a member leave on behalf of ``remover``; its legs are hung up. Appends ``member:left``."""
    require_present(member)
    left_by = {"left": initiator(draft.scene, remover, themselves=member)}
    member = replace(member, state=MemberState.LEFT, left=draft.now, initiator={**member.initiator, **left_by})
    draft.save_member(member)
    end_legs(draft, member)
    draft.append("member:left", bodies.member_left(member, code, text), sender=member.id)
    draft.announce(MemberLeft(member.application_id, member))
    return member
