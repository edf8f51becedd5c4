"""The endpoints of conversations."""

from __future__ import annotations

from typing import cast

from conversation_kit.decisions.bodies import times, without_none
from conversation_kit.domain.models import Conversation, Member, unread
from conversation_kit.domain.reading import MAX_PAGE
from conversation_kit.domain.values.times import to_text
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.lists import page_of
from conversation_kit.http.beta.members import channel_of, initiator_of
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.beta.schemas.bodies import ConversationBody, Properties
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.query import DATES, PAGING
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Response


async def create(request: Request[Links]) -> Response:
    """Create a conversation."""
    body = await request.body(ConversationBody)
    return _lite(request, await request.kit.conversations.create(**body.given()))


async def list_(request: Request[Links]) -> Response:
    """List conversations."""
    page = request.page(10)
    found = await request.kit.conversations.list(page)
    rows: list[responses.ListedConversation] = []
    for conversation in found.items:
        href = request.links.conversation(conversation.id)
        rows.append({"uuid": conversation.id, "name": conversation.name, "href": href, "_links": {"self": {"href": href}}})
    return Response.json(page_of(request, page, found, {"conversations": rows}))


async def retrieve(request: Request[Links]) -> Response:
    """Retrieve a conversation."""
    conversation, members = await request.kit.conversations.retrieve(request.params["conversation_id"], max_bytes=MAX_PAGE)
    href = request.links.conversation(conversation.id)
    response: responses.Conversation = {
        "uuid": conversation.id,
        "name": conversation.name,
        **without_none(display_name=conversation.display_name, image_url=conversation.image_url),  # type: ignore[typeddict-item]
        "numbers": dict(conversation.numbers),
        "properties": cast(Properties, {"video": False, **conversation.properties}),
        "timestamp": times(created=conversation.created, updated=conversation.updated, destroyed=conversation.destroyed),
        "sequence_number": str(conversation.sequence_number),
        "members": [_embedded(member) for member in members],
        "api_key": conversation.application_id,
        "_links": {"self": {"href": href}, "members": {"href": f"{href}/members"}},
    }
    return Response.json(response)


async def replace(request: Request[Links]) -> Response:
    """Update a conversation."""
    body = await request.body(ConversationBody)
    return _lite(request, await request.kit.conversations.update(request.params["conversation_id"], **body.given()))


async def delete(request: Request[Links]) -> Response:
    """Delete a conversation."""
    await request.kit.conversations.delete(request.params["conversation_id"])
    return EMPTY


def user_conversation(conversation: Conversation, member: Member, links: Links) -> responses.UserConversation:
    """Return a conversation in the list of one of its members."""
    return {
        "id": conversation.id,
        "name": conversation.name,
        **without_none(display_name=conversation.display_name, image_url=conversation.image_url),  # type: ignore[typeddict-item]
        "state": member.state.value,
        "member_id": member.id,
        "sequence_number": conversation.sequence_number,
        "seen": member.seen,
        "unread": unread(conversation, member),
        "timestamp": {"created": to_text(conversation.created)},
        "href": links.conversation(conversation.id),
    }


def _lite(request: Request[Links], conversation: Conversation) -> Response:
    response: responses.ConversationLite = {"id": conversation.id, "href": request.links.conversation(conversation.id)}
    return Response.json(response)


def _embedded(member: Member) -> responses.EmbeddedMember:
    return {
        "member_id": member.id,
        "user_id": member.user_id,
        "name": member.user_name,
        "state": member.state.value,
        "timestamp": times(invited=member.invited, joined=member.joined, left=member.left),
        "initiator": initiator_of(member),
        "channel": channel_of(member),
        **without_none(  # type: ignore[typeddict-item]
            display_name=member.display_name, image_url=member.image_url, media=member.media, invited_by=member.invited_by
        ),
    }


OPERATIONS = (
    Operation(
        "createConversation",
        "POST",
        "/conversations",
        "Conversation",
        "Create a conversation",
        create,
        responses.ConversationLite,
        body=ConversationBody,
        examples={
            "Create one": {"display_name": "Support"},
            "Create one that ends an hour after everybody left": {"display_name": "Support", "properties": {"ttl": 3600}},
        },
        errors=(429,),
        description="It has no members yet; its creator may read it. `properties.ttl` bounds how long it stays while nobody is joined.",
    ),
    Operation(
        "listConversations",
        "GET",
        "/conversations",
        "Conversation",
        "List conversations",
        list_,
        responses.ConversationList,
        query=(*DATES, *PAGING),
        page_size=10,
        description="All conversations of the application, for admins. Users find theirs under `/users/{user_id}/conversations`.",
    ),
    Operation(
        "retrieveConversation",
        "GET",
        "/conversations/{conversation_id}",
        "Conversation",
        "Retrieve a conversation",
        retrieve,
        responses.Conversation,
        errors=(404,),
        description="With its members: invited and joined ones first, then those that left, at most 1000 of them and 1 MB of "
        "JSON. `_links.members` is the list of all.",
    ),
    Operation(
        "replaceConversation",
        "PUT",
        "/conversations/{conversation_id}",
        "Conversation",
        "Update a conversation",
        replace,
        responses.ConversationLite,
        body=ConversationBody,
        examples={"Rename it": {"display_name": "Support, second line"}},
        errors=(404,),
        description="What is absent stays as it is, `null` clears. A change appends `conversation:updated` to the log.",
    ),
    Operation(
        "deleteConversation",
        "DELETE",
        "/conversations/{conversation_id}",
        "Conversation",
        "Delete a conversation",
        delete,
        responses.Empty,
        errors=(404,),
        description="With its members and events. Its live legs are hung up and stay listed.",
    ),
)
