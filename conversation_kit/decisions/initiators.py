"""Initiators, who brought about a change, as the log names them."""

from __future__ import annotations

from conversation_kit.decisions import bodies
from conversation_kit.domain.models import JSONObject, Member
from conversation_kit.domain.scene import Scene


def initiator(scene: Scene, actor: Member | None, *, themselves: Member | None = None) -> JSONObject:
    """Return the initiator that brought a member to a state: a member, or the application itself."""
    if actor is not None:
        return {"user_id": actor.user_id, "member_id": actor.id}
    caller = scene.caller
    if caller is None:
        return {"isSystem": True}
    own = scene.members_of(caller)
    member_id = themselves.id if themselves and themselves.user_id == caller.id else own[0].id if own else None
    return bodies.without_none(user_id=caller.id, member_id=member_id)
