"""Rights over members and conversations: who joins whom, who removes whom, and who has a say."""

from __future__ import annotations

from conversation_kit.domain.commands import JoinMember, RemoveMember
from conversation_kit.domain.errors import Forbidden, InvalidInput, conversation_not_found, user_not_found
from conversation_kit.domain.models import Member, MemberState, User
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.rules import acting_member, already_joined, require_member, require_present, unknown_caller
from conversation_kit.domain.scene import Scene


def require_user(scene: Scene, user_id: str | None, user_name: str | None) -> User:
    """Return the user acted upon.

    Raises ``user_not_found``, or ``InvalidInput`` when nobody is named.
    """
    user = scene.user
    if user is None:
        if user_id is None and user_name is None:
            raise InvalidInput({"user_id": "is needed, or user_name"})
        raise user_not_found(user_id or user_name or "")
    if user_name is not None and user.name != user_name:
        raise InvalidInput({"user_name": "is not the user's"})
    return user


def require_joining(scene: Scene, command: JoinMember, actor: Actor) -> tuple[Member | None, User]:
    """Return the invitation that is accepted, if there is one, and the user who joins."""
    if command.member_id is not None:
        return _require_invitation(scene, command, command.member_id, actor)
    caller, user = scene.caller, scene.user
    if not actor.is_free and (user is None or caller is None or user.id != caller.id):
        if not scene.members_of(caller):
            raise conversation_not_found()
        raise Forbidden("Users join only themselves.")
    user = require_user(scene, command.user_id, command.user_name)
    invited = scene.members_of(user, MemberState.INVITED)
    if command.channel is not None:
        invited = [member for member in invited if member.channel_type == command.channel["type"]]
    return (invited[0] if invited else None), user


def _require_invitation(scene: Scene, command: JoinMember, member_id: str, actor: Actor) -> tuple[Member, User]:
    """Return the invitation that a command names, and the user who holds it."""
    caller = scene.caller
    named = scene.member(member_id)
    mine = named is not None and caller is not None and named.user_id == caller.id
    if not actor.is_free and not mine and not scene.members_of(caller):
        raise conversation_not_found()
    member = require_member(scene, member_id)
    if not actor.is_free and not mine:
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
    return member, scene.user or User(member.application_id, member.user_id, member.user_name, member.created)


def require_remover(scene: Scene, command: RemoveMember, actor: Actor) -> Member | None:
    """Return the member on whose behalf another one goes, after a look at whether it may."""
    caller = scene.caller
    if actor.is_free or caller is None:
        return acting_member(scene, command.sender, "from", free=True)
    own = scene.members_of(caller)
    target = scene.member(command.member_id)
    if target is not None and target.user_id == caller.id:
        return target
    is_creator = scene.conversation is not None and scene.conversation.created_by == caller.id
    if not own and not is_creator:
        raise conversation_not_found()
    target = require_member(scene, command.member_id)
    if command.sender is not None and all(member.id != command.sender for member in own):
        raise Forbidden("from must be a member of your own.")
    if target.invited_by != caller.id and not is_creator:
        raise Forbidden("You may remove yourself and the members that you invited.")
    return next((member for member in own if member.id == command.sender), own[0] if own else None)


def require_say(scene: Scene, actor: Actor, *, members_too: bool) -> None:
    """Check that the actor may change the conversation itself: the creator may, and joined members if ``members_too``."""
    if actor.is_free:
        return
    caller = scene.caller
    if caller is None:
        raise unknown_caller(actor.principal.user_name or "")
    active = scene.members_of(caller)
    assert scene.conversation is not None
    if scene.conversation.created_by == caller.id or (members_too and any(member.joined for member in active)):
        return
    if not active:
        raise conversation_not_found()
    raise Forbidden("Only an admin, the creator" + (" or a joined member" if members_too else "") + " may do this.")
