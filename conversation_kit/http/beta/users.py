"""The endpoints of users."""

from __future__ import annotations

from conversation_kit.decisions.bodies import without_none
from conversation_kit.domain.errors import NotFound
from conversation_kit.domain.models import User
from conversation_kit.domain.reading import Slice
from conversation_kit.http.beta.conversations import user_conversation
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.lists import next_of
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.beta.schemas.bodies import UserBody
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.query import PAGING
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Response


def is_own_user(request: Request[Links]) -> bool:
    """Tell whether the path names the calling user as ``me``."""
    return request.params["user_id"] == "me" and request.kit.principal.user_name is not None


async def user_id(request: Request[Links]) -> str:
    """Return the id of the user that the path names, if only as ``me``. Raises ``user_not_found``."""
    own = request.kit.principal.user_name
    return (await request.kit.users.named(own)).id if is_own_user(request) and own is not None else request.params["user_id"]


async def create(request: Request[Links]) -> Response:
    """Create a user."""
    body = await request.body(UserBody)
    user = await request.kit.users.create(**body.given())
    response: responses.CreatedUser = {
        "id": user.id,
        "name": user.name,
        **without_none(display_name=user.display_name),  # type: ignore[typeddict-item]
        "href": request.links.user(user.id),
    }
    return Response.json(response)


async def list_(request: Request[Links]) -> Response:
    """List users."""
    page = request.page()
    name = request.text("name")
    found = await request.kit.users.list(page) if name is None else await _named(request, name)
    rows: list[responses.ListedUser] = [{"id": user.id, "name": user.name, "href": request.links.user(user.id)} for user in found.items]
    return Response.json(rows, headers=next_of(request, page, found))


async def _named(request: Request[Links], name: str) -> Slice[User]:
    try:
        user = await request.kit.users.named(name)
    except NotFound:
        return Slice([], 0)
    return Slice([user], 1)


async def retrieve(request: Request[Links]) -> Response:
    """Retrieve a user."""
    user = await request.kit.users.get(await user_id(request))
    response: responses.User = {
        "id": user.id,
        "name": user.name,
        **without_none(display_name=user.display_name, image_url=user.image_url),  # type: ignore[typeddict-item]
        "channels": dict(user.channels),
        "properties": dict(user.properties),
        "href": request.links.user(user.id),
    }
    return Response.json(response)


async def update(request: Request[Links]) -> Response:
    """Update a user."""
    body = await request.body(UserBody)
    user = await request.kit.users.update(await user_id(request), **body.given())
    response: responses.UpdatedUser = {"id": user.id, "href": request.links.user(user.id)}
    return Response.json(response)


async def delete(request: Request[Links]) -> Response:
    """Delete a user."""
    await request.kit.users.delete(await user_id(request))
    return EMPTY


async def conversations(request: Request[Links]) -> Response:
    """List a user's conversations."""
    page = request.page()
    found = await request.kit.users.conversations(await user_id(request), page)
    rows = [user_conversation(conversation, member, request.links) for conversation, member in found.items]
    return Response.json(rows, headers=next_of(request, page, found))


OPERATIONS = (
    Operation(
        "getUsers",
        "GET",
        "/users",
        "User",
        "List users",
        list_,
        list[responses.ListedUser],
        query=(*PAGING, "name"),
        description="For admins. `name` asks for the user of this name. A `Link` header with `rel=next` tells where a long list goes on.",
    ),
    Operation(
        "createUser",
        "POST",
        "/users",
        "User",
        "Create a user",
        create,
        responses.CreatedUser,
        body=UserBody,
        examples={"Create one": {"name": "dana", "display_name": "Dana"}},
        description="For admins.",
    ),
    Operation(
        "getUser",
        "GET",
        "/users/{user_id}",
        "User",
        "Retrieve a user",
        retrieve,
        responses.User,
        errors=(404,),
        description="A user's own id may be written `me`, here and in the other paths of users.",
    ),
    Operation(
        "updateUser",
        "PUT",
        "/users/{user_id}",
        "User",
        "Update a user",
        update,
        responses.UpdatedUser,
        body=UserBody,
        examples={"Change the name to show": {"display_name": "Ana Lopez"}},
        errors=(404,),
        description="What is absent stays as it is, `null` clears. Users may update themselves, but for their name.",
    ),
    Operation(
        "deleteUser",
        "DELETE",
        "/users/{user_id}",
        "User",
        "Delete a user",
        delete,
        responses.Empty,
        errors=(404,),
        description="For admins. The user leaves every conversation first.",
    ),
    Operation(
        "getuserConversations",
        "GET",
        "/users/{user_id}/conversations",
        "User",
        "List a user's conversations",
        conversations,
        list[responses.UserConversation],
        query=PAGING,
        errors=(404,),
        description="Those that the user is invited to or joined in, once for each membership.",
    ),
)
