"""Who may do what, and which step may follow which: pure functions, each decision in one place.

Sources are the sections of the API's semantics that DESIGN's readings settle: membership life cycle 2.1,
the matrix of rights 2.3, legs 4.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from conversation_kit.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    Unauthenticated,
    conversation_not_found,
    member_not_found,
    not_joined,
)
from conversation_kit.domain.models import Conversation, JSONObject, LegStatus, Member, MemberState, User
from conversation_kit.domain.reading import Access
from conversation_kit.domain.scene import Scene

CHANNEL_TYPES = ("app", "phone", "sip", "websocket", "vbc")

_UNANSWERED = frozenset(
    {
        LegStatus.ANSWERED,
        LegStatus.MACHINE,
        LegStatus.COMPLETED,
        LegStatus.FAILED,
        LegStatus.TIMEOUT,
        LegStatus.UNANSWERED,
        LegStatus.REJECTED,
        LegStatus.BUSY,
        LegStatus.CANCELLED,
    }
)
LEG_FLOW: Mapping[LegStatus, frozenset[LegStatus]] = {
    LegStatus.STARTED: _UNANSWERED | {LegStatus.RINGING},
    LegStatus.RINGING: _UNANSWERED,
    LegStatus.ANSWERED: frozenset({LegStatus.MACHINE, LegStatus.COMPLETED, LegStatus.FAILED}),
    LegStatus.MACHINE: frozenset({LegStatus.ANSWERED, LegStatus.COMPLETED, LegStatus.FAILED}),
}
"""Which status may follow which; nothing follows an ended leg's (SEMANTICS section 4)."""


def check_access(access: Access, conversation: Conversation | None, user: User | None, memberships: Sequence[Member]) -> None:
    """Whether ``access`` may read ``conversation``; every storage asks this before it answers.

    ``user`` is the one named by ``access``, ``memberships`` that user's invited and joined ones in the conversation.
    Missing, expired and foreign conversations are all ``NotFound``; a member in too early a state is ``Forbidden``.
    """
    check_reader(
        access,
        exists=conversation is not None,
        expires_at=conversation.expires_at if conversation is not None else None,
        created_by=conversation.created_by if conversation is not None else None,
        user_id=user.id if user is not None else None,
        states=[member.state for member in memberships],
    )


def check_reader(
    access: Access,
    *,
    exists: bool,
    expires_at: datetime | None,
    created_by: str | None,
    user_id: str | None,
    states: Collection[MemberState],
) -> None:
    """The same as ``check_access``, for a storage that has looked up no more than this takes."""
    if access.user_name is not None and user_id is None:
        raise unknown_caller(access.user_name)
    if not exists or (expires_at is not None and expires_at <= access.now):
        raise conversation_not_found()
    if user_id is None or not access.states.isdisjoint(states):
        return
    created = created_by == user_id
    if access.creator and created:
        return
    raise not_joined() if states or created else conversation_not_found()


def is_expired(conversation: Conversation, now: datetime) -> bool:
    """Whether its ``ttl`` has run out."""
    return conversation.expires_at is not None and conversation.expires_at <= now


def unknown_caller(name: str) -> Unauthenticated:
    """A token's ``sub`` must be the name of a user that exists."""
    return Unauthenticated(f"The token's sub {name!r} is not the name of a user of this application: create the user first.")


def require_joined(scene: Scene, caller: User, sender: str | None, field: str) -> Member:
    """The joined member for which ``caller`` acts: the one named by ``sender``, else the only one there is."""
    named = scene.member(sender) if sender is not None else None
    if named is not None and named.user_id == caller.id and named.state is MemberState.JOINED:
        return named
    active = scene.members_of(caller)
    joined = [member for member in active if member.state is MemberState.JOINED]
    if sender is not None:
        if named is not None and named.user_id == caller.id:
            raise not_joined()
        if active:
            raise Forbidden(f"{field} must be a member of your own.", "event:error:permission-denied")
    if not joined:
        conversation = scene.conversation
        mine = active or (conversation is not None and conversation.created_by == caller.id)
        raise not_joined() if mine else conversation_not_found()
    if len(joined) > 1:
        raise InvalidInput({field: "is needed: you are joined over more than one channel"})
    return joined[0]


def acting_member(scene: Scene, named: str | None, field: str, *, free: bool) -> Member | None:
    """The joined member on whose behalf something happens; ``None`` for an admin who names none.

    A user acts as its own member only, also when ``free``, that is, when an ``authorize`` callable lifted the need to be joined.
    """
    caller = scene.caller
    if caller is None:
        member = require_present(require_member(scene, named)) if named is not None else None
        if member is not None and member.state is not MemberState.JOINED:
            raise not_joined()
        return member
    if free and named is None:
        joined = scene.members_of(caller, MemberState.JOINED)
        return joined[0] if joined else None
    if free and named is not None and require_member(scene, named).user_id != caller.id:
        raise Forbidden(f"{field} must be a member of your own.", "event:error:permission-denied")
    return require_joined(scene, caller, named, field)


def require_member(scene: Scene, member_id: str) -> Member:
    """The member that a path or a body names."""
    member = scene.member(member_id)
    if member is None:
        raise member_not_found(member_id)
    return member


def require_present(member: Member) -> Member:
    """A member that has not left."""
    if not member.is_active:
        raise Conflict(f"Member {member.id!r} has left.", "conversation:error:invalid-member-state")
    return member


def check_channel(channel: JSONObject) -> None:
    """A channel's type, and those of its ends, must be known ones."""
    for name, part in (("channel", channel), ("channel.from", channel.get("from")), ("channel.to", channel.get("to"))):
        if part is None:
            continue
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind is None and name != "channel" and isinstance(part, Mapping):
            continue
        if kind not in CHANNEL_TYPES:
            raise InvalidInput({f"{name}.type": f"must be one of {', '.join(CHANNEL_TYPES)}"}, "conversation:error:invalid-channel")


def check_vacancy(scene: Scene, user: User, channel_type: str, *, joining: bool, limit: int) -> None:
    """Whether ``user`` may become a member over this type of channel: one membership for each (SEMANTICS 1.1 #21)."""
    for member in scene.members_of(user):
        if member.channel_type == channel_type:
            if joining and member.state is MemberState.JOINED:
                raise already_joined(member)
            raise Conflict(
                f"The user is already a member in {channel_type!r} type: {member.id} is {member.state}.",
                "conversation:error:already-member",
            )
    if scene.conversation is not None and scene.conversation.active_members >= limit:
        raise Conflict(
            f"The conversation has {limit} members, which is as many as it may have.", "conversation:error:maximum-number-of-members"
        )


def already_joined(member: Member) -> Conflict:
    """Joining what is joined."""
    return Conflict(
        f"This user already has a member joined in {member.channel_type!r} type: {member.id}.", "conversation:error:member-already-joined"
    )


def check_leg_step(old: LegStatus, new: LegStatus) -> None:
    """Whether a leg may go from ``old`` to ``new``."""
    if new not in LEG_FLOW.get(old, frozenset()):
        code = "leg:error:invalid-action" if old in LEG_FLOW else "leg:error:complete"
        raise Conflict(f"A leg that is {old} cannot become {new}.", code)
