"""The endpoints of conversations."""

from __future__ import annotations

from typing import cast

from conversation_kit.domain.bodies import times, without_none
from conversation_kit.domain.models import Conversation, Member, unread
from conversation_kit.domain.times import to_text
from conversation_kit.http import answers
from conversation_kit.http.calls import Call
from conversation_kit.http.links import Links
from conversation_kit.http.lists import page_of
from conversation_kit.http.members import channel_answer, initiator_answer
from conversation_kit.http.operations import DATES, PAGING, Operation
from conversation_kit.http.requests import ConversationBody, Properties
from conversation_kit.http.responses import EMPTY, Answer


async def create(call: Call) -> Answer:
    """Create a conversation."""
    body = await call.body(ConversationBody)
    return _lite(call, await call.acting.conversations.create(**body.given()))


async def list_(call: Call) -> Answer:
    """List conversations."""
    page = call.page(10)
    found = await call.acting.conversations.list(page)
    rows: list[answers.ListedConversation] = []
    for conversation in found.items:
        href = call.links.conversation(conversation.id)
        rows.append({"uuid": conversation.id, "name": conversation.name, "href": href, "_links": {"self": {"href": href}}})
    return Answer.json(page_of(call, page, found.total, {"conversations": rows}))


async def retrieve(call: Call) -> Answer:
    """Retrieve a conversation."""
    conversation, members = await call.acting.conversations.retrieve(call.params["conversation_id"])
    answer: answers.Conversation = {
        "uuid": conversation.id,
        "name": conversation.name,
        **without_none(display_name=conversation.display_name, image_url=conversation.image_url),  # type: ignore[typeddict-item]
        "numbers": dict(conversation.numbers),
        "properties": cast(Properties, {"video": False, **conversation.properties}),
        "timestamp": times(created=conversation.created, updated=conversation.updated, destroyed=conversation.destroyed),
        "sequence_number": str(conversation.sequence_number),
        "members": [_embedded(member) for member in members],
        "api_key": conversation.application_id,
        "_links": {"self": {"href": call.links.conversation(conversation.id)}},
    }
    return Answer.json(answer)


async def replace(call: Call) -> Answer:
    """Update a conversation."""
    body = await call.body(ConversationBody)
    return _lite(call, await call.acting.conversations.update(call.params["conversation_id"], **body.given()))


async def delete(call: Call) -> Answer:
    """Delete a conversation."""
    await call.acting.conversations.delete(call.params["conversation_id"])
    return EMPTY


def user_conversation(conversation: Conversation, member: Member, links: Links) -> answers.UserConversation:
    """A conversation in the list of one of its members."""
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


def _lite(call: Call, conversation: Conversation) -> Answer:
    answer: answers.ConversationLite = {"id": conversation.id, "href": call.links.conversation(conversation.id)}
    return Answer.json(answer)


def _embedded(member: Member) -> answers.EmbeddedMember:
    return {
        "member_id": member.id,
        "user_id": member.user_id,
        "name": member.user_name,
        "state": member.state.value,
        "timestamp": times(invited=member.invited, joined=member.joined, left=member.left),
        "initiator": initiator_answer(member),
        "channel": channel_answer(member),
        **without_none(media=member.media, invited_by=member.invited_by),  # type: ignore[typeddict-item]
    }


OPERATIONS = (
    Operation(
        "createConversation",
        "POST",
        "/conversations",
        "Conversation",
        "Create a conversation",
        create,
        answers.ConversationLite,
        body=ConversationBody,
        description="It has no members yet; its creator may read it. `properties.ttl` bounds how long it stays while nobody is joined.",
    ),
    Operation(
        "listConversations",
        "GET",
        "/conversations",
        "Conversation",
        "List conversations",
        list_,
        answers.ConversationList,
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
        answers.Conversation,
        errors=(404,),
        description="With its members: invited and joined ones first, then those that left, at most 1000 of them.",
    ),
    Operation(
        "replaceConversation",
        "PUT",
        "/conversations/{conversation_id}",
        "Conversation",
        "Update a conversation",
        replace,
        answers.ConversationLite,
        body=ConversationBody,
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
        answers.Empty,
        errors=(404,),
        description="With its members and events. Its live legs are hung up and stay listed.",
    ),
)
