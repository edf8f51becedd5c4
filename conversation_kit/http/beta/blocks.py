"""The endpoints of whom a user takes no invitations from."""

from __future__ import annotations

from conversation_kit.domain.values.times import to_text
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.lists import next_of
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.beta.users import user_id
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.query import PAGING
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Response


async def list_(request: Request[Links]) -> Response:
    """List a user's blocks."""
    page = request.page()
    found = await request.kit.users.blocks(await user_id(request), page)
    rows: list[responses.Block] = [
        {"user_id": block.blocked_id, "timestamp": {"created": to_text(block.created)}, "href": request.links.user(block.blocked_id)}
        for block in found.items
    ]
    return Response.json(rows, headers=next_of(request, page, found))


async def block(request: Request[Links]) -> Response:
    """Block a user."""
    await request.raw()
    await request.kit.users.block(await user_id(request), request.params["blocked_id"])
    return EMPTY


async def unblock(request: Request[Links]) -> Response:
    """Unblock a user."""
    await request.raw()
    await request.kit.users.unblock(await user_id(request), request.params["blocked_id"])
    return EMPTY


EXTENSIONS = (
    Operation(
        "getUserBlocks",
        "GET",
        "/users/{user_id}/blocks",
        "User",
        "List a user's blocks",
        list_,
        list[responses.Block],
        query=PAGING,
        errors=(404,),
        extension=True,
        description="The users from whom this one takes no invitations, the first one first. For admins and the user.",
    ),
    Operation(
        "blockUser",
        "PUT",
        "/users/{user_id}/blocks/{blocked_id}",
        "User",
        "Block a user",
        block,
        responses.Empty,
        errors=(404,),
        extension=True,
        description="The user gets no more invitations from the other one, who is told so with a 403 `invitation:error:blocked`. "
        "Invitations that are there stay. A second time it does nothing. For admins and the user.",
    ),
    Operation(
        "unblockUser",
        "DELETE",
        "/users/{user_id}/blocks/{blocked_id}",
        "User",
        "Unblock a user",
        unblock,
        responses.Empty,
        errors=(404,),
        extension=True,
        description="For admins and the user.",
    ),
)
