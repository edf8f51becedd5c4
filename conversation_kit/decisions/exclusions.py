"""Exclusions, which keep users out of a conversation until they are invited, or let in by an admin."""

from __future__ import annotations

from conversation_kit.decisions import bodies
from conversation_kit.decisions.initiators import initiator
from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Exclusion, ExclusionKind, Member, MemberState, User


def keep_out(draft: Draft, member: Member, remover: Member | None) -> None:
    """Let a member that is about to be removed need an invitation to come back, if it was joined and somebody else removes it.

    The creator of a conversation may always come back. So may who only declines, or whose invitation is taken back.
    """
    caller = draft.scene.caller
    by = remover.user_id if remover is not None else caller.id if caller is not None else None
    if member.state is not MemberState.JOINED or by == member.user_id or draft.conversation.created_by == member.user_id:
        return
    draft.exclude(Exclusion(member.application_id, member.conversation_id, member.user_id, ExclusionKind.REMOVED, draft.now, by))


def readmit(draft: Draft, user: User) -> None:
    """Take back what keeps the user out of the conversation, if anything does. Appends ``member:unbanned`` if it is a ban."""
    exclusion = draft.scene.exclusion
    if exclusion is None:
        return
    draft.lift(user.id)
    if exclusion.kind is ExclusionKind.BANNED:
        draft.append("member:unbanned", bodies.member_unbanned(user, initiator(draft.scene, None), draft.now))
