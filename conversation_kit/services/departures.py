"""A user who leaves every conversation, which may be thousands."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from conversation_kit.domain.errors import Conflict, NotFound, RequestError
from conversation_kit.domain.models import Conversation, Member
from conversation_kit.domain.reading import MAX_PAGE, Page
from conversation_kit.services.members import Members

AT_ONCE = 4
"""Number of members that leave together: enough to share commits, and few enough for others not to wait for them."""


async def leave_everywhere(members: Members, user_id: str) -> None:
    """Let a user leave every conversation, as whom ``members`` acts for. For admins."""
    context, application_id = members.context, members.application_id
    await context.admins_only(members.principal, "members.remove", user_id=user_id)
    tried: dict[str, RequestError] = {}
    while True:
        found = await (await context.storage()).list_memberships(application_id, user_id, Page(max_bytes=MAX_PAGE), context.clock())
        if not found.items:
            return
        for _, member in found.items:
            if member.id in tried:
                raise tried[member.id]
            tried[member.id] = Conflict(f"Member {member.id!r} does not leave, although it was asked to.")
        for start in range(0, len(found.items), AT_ONCE):
            await _leave(members, found.items[start : start + AT_ONCE], tried)


async def _leave(members: Members, memberships: Sequence[tuple[Conversation, Member]], tried: dict[str, RequestError]) -> None:
    """Let these members leave at once; notes in ``tried`` why one did not."""
    failed: list[Exception] = []

    async def leave(conversation: Conversation, member: Member) -> None:
        try:
            await members.remove(conversation.id, member.id)
        except (Conflict, NotFound) as error:
            # It may have left by itself meanwhile; if it is still there the next time, this is why.
            tried[member.id] = error
        except Exception as error:
            failed.append(error)  # raised below, for a task group would wrap it

    async with anyio.create_task_group() as group:
        for conversation, member in memberships:
            group.start_soon(leave, conversation, member)
    if failed:
        raise failed[0]
