"""The endpoints of users."""

from __future__ import annotations

from conversation_kit.domain.bodies import without_none
from conversation_kit.http import answers
from conversation_kit.http.calls import Call
from conversation_kit.http.conversations import user_conversation
from conversation_kit.http.lists import next_link
from conversation_kit.http.operations import PAGING, Operation
from conversation_kit.http.requests import UserBody
from conversation_kit.http.responses import EMPTY, Answer


async def create(call: Call) -> Answer:
    """Create a user."""
    body = await call.body(UserBody)
    user = await call.acting.users.create(**body.given())
    answer: answers.CreatedUser = {
        "id": user.id,
        "name": user.name,
        **without_none(display_name=user.display_name),  # type: ignore[typeddict-item]
        "href": call.links.user(user.id),
    }
    return Answer.json(answer)


async def list_(call: Call) -> Answer:
    """List users."""
    page = call.page()
    found = await call.acting.users.list(page)
    rows: list[answers.ListedUser] = [{"id": user.id, "name": user.name, "href": call.links.user(user.id)} for user in found.items]
    return Answer.json(rows, headers=next_link(call, page, page.index + page.size < found.total))


async def retrieve(call: Call) -> Answer:
    """Retrieve a user."""
    user = await call.acting.users.get(call.params["user_id"])
    answer: answers.User = {
        "id": user.id,
        "name": user.name,
        **without_none(display_name=user.display_name, image_url=user.image_url),  # type: ignore[typeddict-item]
        "channels": dict(user.channels),
        "href": call.links.user(user.id),
    }
    return Answer.json(answer)


async def update(call: Call) -> Answer:
    """Update a user."""
    body = await call.body(UserBody)
    user = await call.acting.users.update(call.params["user_id"], **body.given())
    answer: answers.UpdatedUser = {"id": user.id, "href": call.links.user(user.id)}
    return Answer.json(answer)


async def delete(call: Call) -> Answer:
    """Delete a user."""
    await call.acting.users.delete(call.params["user_id"])
    return EMPTY


async def conversations(call: Call) -> Answer:
    """List a user's conversations."""
    page = call.page()
    found = await call.acting.users.conversations(call.params["user_id"], page)
    rows = [user_conversation(conversation, member, call.links) for conversation, member in found.items]
    return Answer.json(rows, headers=next_link(call, page, page.index + page.size < found.total))


OPERATIONS = (
    Operation(
        "getUsers",
        "GET",
        "/users",
        "User",
        "List users",
        list_,
        list[answers.ListedUser],
        query=PAGING,
        description="For admins. A `Link` header with `rel=next` tells where a long list goes on.",
    ),
    Operation(
        "createUser",
        "POST",
        "/users",
        "User",
        "Create a user",
        create,
        answers.CreatedUser,
        body=UserBody,
        description="For admins.",
    ),
    Operation("getUser", "GET", "/users/{user_id}", "User", "Retrieve a user", retrieve, answers.User, errors=(404,)),
    Operation(
        "updateUser",
        "PUT",
        "/users/{user_id}",
        "User",
        "Update a user",
        update,
        answers.UpdatedUser,
        body=UserBody,
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
        answers.Empty,
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
        list[answers.UserConversation],
        query=PAGING,
        errors=(404,),
        description="Those that the user is invited to or joined in, once for each membership.",
    ),
)
