"""Rights and life cycles: who may do what, and which step may follow which. Pure functions, each decision in one place.

``docs/auth.md`` has the table of rights, ``docs/api.md`` the life cycle of a member.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from conversation_kit.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    Unauthenticated,
    conversation_not_found,
    member_not_found,
    not_joined,
)
from conversation_kit.domain.event_types import RECEIPT_KINDS, is_recorded
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, ExclusionKind, JoinPolicy, Member, MemberState, User
from conversation_kit.domain.principals import InvitationLimits
from conversation_kit.domain.reading import Access
from conversation_kit.domain.scene import Scene

CREATION_LEEWAY = timedelta(seconds=60)
"""Time by which a user may be created later than its token: the clocks of two servers differ."""


def check_access(access: Access, conversation: Conversation | None, user: User | None, memberships: Sequence[Member]) -> None:
    """Check that ``access`` may read ``conversation``; every storage asks this before it answers.

    ``user`` is the one named by ``access``, ``memberships`` that user's invited and joined ones in the conversation.
    Missing, expired and foreign conversations are all ``NotFound``; a member in too early a state is ``Forbidden``.
    """
    check_reader(
        access,
        exists=conversation is not None,
        expires_at=conversation.expires_at if conversation is not None else None,
        created_by=conversation.created_by if conversation is not None else None,
        user_id=user.id if user is not None else None,
        user_created=user.created if user is not None else None,
        tokens_since=user.tokens_since if user is not None else None,
        states=[member.state for member in memberships],
    )


def check_reader(
    access: Access,
    *,
    exists: bool,
    expires_at: datetime | None,
    created_by: str | None,
    user_id: str | None,
    user_created: datetime | None,
    tokens_since: datetime | None,
    states: Collection[MemberState],
) -> None:
    """Check the same as ``check_access``, for a storage that has looked up no more than this takes."""
    if access.user_name is not None:
        if user_id is None or user_created is None:
            raise unknown_caller(access.user_name)
        check_issued(access.issued_at, user_created, tokens_since)
    if not exists or (expires_at is not None and expires_at <= access.now):
        raise conversation_not_found()
    if user_id is None or access.unrestricted or not access.states.isdisjoint(states):
        return
    created = created_by == user_id
    if access.creator and created:
        return
    raise not_joined() if states or created else conversation_not_found()


def is_expired(conversation: Conversation, now: datetime) -> bool:
    """Tell whether the conversation's ``ttl`` has run out."""
    return conversation.expires_at is not None and conversation.expires_at <= now


def require_conversation(scene: Scene, now: datetime) -> Conversation:
    """Return the conversation, which must exist and not have expired by ``now``."""
    conversation = scene.conversation
    if conversation is None or (conversation.expires_at is not None and conversation.expires_at <= now):
        raise conversation_not_found()
    return conversation


def unknown_caller(name: str) -> Unauthenticated:
    """Return the error for a token whose ``sub`` is not the name of a user that exists."""
    return Unauthenticated(f"The token's sub {name!r} is not the name of a user of this application: create the user first.")


def require_caller(user: User | None, name: str, issued_at: datetime | None) -> User:
    """Return the user who acts by the name ``name``, with credentials made at ``issued_at``. Raises ``Unauthenticated``."""
    if user is None:
        raise unknown_caller(name)
    if issued_at is not None:
        check_issued(issued_at, user.created, user.tokens_since)
    return user


def is_of_former(created: datetime, at: datetime) -> bool:
    """Tell whether what was done at this time was done by somebody else of the name that a user has who was created at ``created``."""
    return at < created and at < created - CREATION_LEEWAY


def check_issued(issued_at: datetime | None, created: datetime, tokens_since: datetime | None) -> None:
    """Refuse credentials from before their user was created, which were somebody else's of that name, and revoked ones.

    ``None`` are credentials that no time is known of: a host's own login. Clocks may differ by ``CREATION_LEEWAY``.
    """
    if issued_at is None:
        return
    if is_of_former(created, issued_at):
        raise Unauthenticated("The token is older than the user of this name: get a new one.")
    if tokens_since is not None and issued_at < tokens_since:
        raise Unauthenticated("The token has been revoked: get a new one.")


def require_joined(scene: Scene, caller: User, sender: str | None, field: str) -> Member:
    """Return the joined member for which ``caller`` acts: the one named by ``sender``, else the only one there is."""
    named = scene.member(sender) if sender is not None else None
    if named is not None and named.user_id == caller.id and named.state is MemberState.JOINED:
        return named
    joined = [member for member in scene.members if member.user_id == caller.id and member.state is MemberState.JOINED]
    if sender is None and len(joined) == 1:
        return joined[0]
    active = scene.members_of(caller)
    if sender is not None:
        if named is not None and named.user_id == caller.id:
            raise not_joined()
        if active:
            raise Forbidden(f"{field} must be a member of your own.", "event:error:permission-denied")
    if not joined:
        conversation = scene.conversation
        mine = active or (conversation is not None and conversation.created_by == caller.id)
        raise not_joined() if mine else conversation_not_found()
    raise InvalidInput({field: "is needed: you are joined over more than one channel"})


def acting_member(scene: Scene, named: str | None, field: str, *, free: bool) -> Member | None:
    """Return the joined member on whose behalf something happens; ``None`` for an admin who names none.

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


def check_deletion(scene: Scene, event: Event, *, free: bool) -> None:
    """Raise ``Forbidden`` unless the caller may empty this event (deleteEvent; docs/api.md, Events).

    Its author may, of what clients write; ``free`` callers may empty the kit's own records too, which can hold a member's words.
    """
    if event.type in RECEIPT_KINDS or event.type == "event:delete":
        raise Forbidden(f"Events of type {event.type!r} hold nothing but an id, and stay.", "event:error:permission-denied")
    if free:
        return
    author = scene.member(event.sender) if event.sender is not None else None
    if is_recorded(event.type) or author is None or scene.caller is None or author.user_id != scene.caller.id:
        raise Forbidden("Only the author or an admin deletes an event.", "event:error:permission-denied")


def require_member(scene: Scene, member_id: str) -> Member:
    """Return the member that a path or a body names.

    Raises ``member_not_found``.
    """
    member = scene.member(member_id)
    if member is None:
        raise member_not_found(member_id)
    return member


def require_present(member: Member) -> Member:
    """Return the member, or raise ``Conflict`` if it has left."""
    if not member.is_active:
        raise Conflict(f"Member {member.id!r} has left.", "conversation:error:invalid-member-state")
    return member


def check_admission(scene: Scene, user: User, invited: Member | None, policy: JoinPolicy, *, free: bool) -> None:
    """Check that ``user`` may join, by the invitation ``invited`` or without one.

    A refused user is told that there is no such conversation; one who was removed, but is a member over another channel, is told so.
    ``free`` is the caller whom an ``authorize`` callable allows to join; a ban holds for it too. Admins are not asked.
    """
    exclusion, conversation = scene.exclusion, scene.conversation
    if exclusion is not None and exclusion.kind is ExclusionKind.BANNED:
        raise conversation_not_found()
    if free or invited is not None or (conversation is not None and conversation.created_by == user.id):
        return
    present = scene.members_of(user)
    if exclusion is not None:
        raise Forbidden("You were removed: ask for an invitation.", "member:error:removed") if present else conversation_not_found()
    if policy == "invited" and not present:
        raise conversation_not_found()


def check_invitation(scene: Scene, limits: InvitationLimits, *, free: bool) -> None:
    """Check that the calling user may invite the user acted upon; ``free`` lifts the limits.

    Admins are not asked.
    """
    if scene.exclusion is not None and scene.exclusion.kind is ExclusionKind.BANNED:
        raise Forbidden("The user is banned from the conversation: only an admin may invite them.", "member:error:banned")
    found = scene.invitations
    if found.is_blocked:
        raise Forbidden("The user takes no invitations from you.", "invitation:error:blocked")
    if free:
        return
    if found.sent >= limits.sent:
        raise Conflict(
            f"You have {found.sent} invitations that wait for an answer, which is as many as you may: take some back.",
            "invitation:error:too-many-sent",
        )
    if found.received >= limits.received:
        raise Conflict(
            f"The user has {found.received} invitations to answer, which is as many as they may have.", "invitation:error:too-many-received"
        )


def check_switch(scene: Scene, member: Member, type: str, *, free: bool) -> None:
    """Raise ``Forbidden`` unless the caller may switch this of ``member``: members mute each other, all else is a member's own."""
    caller = scene.caller
    if free or caller is None or member.user_id == caller.id or type == "audio:mute:on":
        return
    raise Forbidden("A member may mute others, but not unmute or earmuff them.", "event:error:permission-denied")


def check_vacancy(scene: Scene, user: User, channel_type: str, *, joining: bool, limit: int) -> None:
    """Raise ``Conflict`` unless ``user`` may become a member over this type of channel: one membership for each, ``limit`` in all."""
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
    """Return the error for joining again over a type of channel."""
    return Conflict(
        f"This user already has a member joined in {member.channel_type!r} type: {member.id}.", "conversation:error:member-already-joined"
    )
