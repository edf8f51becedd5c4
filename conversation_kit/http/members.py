"""The endpoints of members."""

from __future__ import annotations

from typing import cast

from conversation_kit.domain.bodies import times, without_none
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.models import Member
from conversation_kit.http import answers
from conversation_kit.http.calls import Call
from conversation_kit.http.lists import next_link
from conversation_kit.http.operations import PAGING, Operation
from conversation_kit.http.requests import ActorBody, Channel, MemberBody, MemberUpdateBody
from conversation_kit.http.responses import EMPTY, Answer


async def create(call: Call) -> Answer:
    """Create a member."""
    body = await call.body(MemberBody)
    given = {name: value for name, value in body.given().items() if name != "action"}
    members = call.acting.members
    conversation_id = call.params["conversation_id"]
    if body.action == "join":
        member = await members.join(conversation_id, **given)
    else:
        given.pop("member_id", None)
        member = await members.invite(conversation_id, **given)
    return Answer.json(_created(member, call), 201)


async def list_(call: Call) -> Answer:
    """List members."""
    page = call.page()
    found = await call.acting.members.list(call.params["conversation_id"], page)
    rows: list[answers.ListedMember] = [
        {
            "id": member.id,
            "member_id": member.id,
            "user_id": member.user_id,
            "user_name": member.user_name,
            "name": member.user_name,
            "state": member.state.value,
        }
        for member in found.items
    ]
    return Answer.json(rows, headers=next_link(call, page, page.index + page.size < found.total))


async def retrieve(call: Call) -> Answer:
    """Retrieve a member."""
    member = await call.acting.members.get(call.params["conversation_id"], call.params["member_id"])
    return Answer.json(_full(member, call))


async def update(call: Call) -> Answer:
    """Update a member."""
    body = await call.body(MemberUpdateBody)
    if body.action != "join":
        raise Conflict("A member that is there can only join.", "conversation:error:invalid-action")
    member = await call.acting.members.join(
        call.params["conversation_id"], member_id=call.params["member_id"], channel=body.channel, operation="updateMember"
    )
    return Answer.json(_full(member, call))


async def delete(call: Call) -> Answer:
    """Delete a member."""
    body = await call.lenient_body(ActorBody)
    await call.acting.members.remove(
        call.params["conversation_id"],
        call.params["member_id"],
        sender=call.text("from") or body.sender,
        reason_code=call.text("reason_code"),
        reason_text=call.text("reason_text"),
    )
    return EMPTY


def channel_answer(member: Member) -> Channel:
    """A member's channel."""
    return cast(Channel, dict(member.channel))


def initiator_answer(member: Member) -> answers.Initiator:
    """Who brought a member to its states."""
    return cast(answers.Initiator, dict(member.initiator))


def _created(member: Member, call: Call) -> answers.CreatedMember:
    return {
        "id": member.id,
        "user_id": member.user_id,
        "state": member.state.value,
        "timestamp": times(invited=member.invited, joined=member.joined, left=member.left),  # type: ignore[typeddict-item]
        "channel": channel_answer(member),
        "href": call.links.member(member.conversation_id, member.id),
        "initiator": initiator_answer(member),
    }


def _full(member: Member, call: Call) -> answers.Member:
    return {
        **_created(member, call),
        "user_name": member.user_name,
        "name": member.user_name,
        **without_none(media=member.media, invited_by=member.invited_by),  # type: ignore[typeddict-item]
    }


OPERATIONS = (
    Operation(
        "createMember",
        "POST",
        "/conversations/{conversation_id}/members",
        "Member",
        "Create a member",
        create,
        answers.CreatedMember,
        201,
        body=MemberBody,
        body_required=True,
        errors=(404,),
        description="Invite a user, let one join, or accept an invitation. Appends `member:invited` or `member:joined` to the log. "
        "A user over one type of channel is a member once; the record of who left stays.",
    ),
    Operation(
        "getMembers",
        "GET",
        "/conversations/{conversation_id}/members",
        "Member",
        "List members",
        list_,
        list[answers.ListedMember],
        query=PAGING,
        errors=(404,),
        description="Those that left too, oldest first. A `Link` header with `rel=next` tells where a long list goes on.",
    ),
    Operation(
        "getMember",
        "GET",
        "/conversations/{conversation_id}/members/{member_id}",
        "Member",
        "Retrieve a member",
        retrieve,
        answers.Member,
        errors=(404,),
    ),
    Operation(
        "updateMember",
        "PUT",
        "/conversations/{conversation_id}/members/{member_id}",
        "Member",
        "Update a member",
        update,
        answers.Member,
        body=MemberUpdateBody,
        errors=(404,),
        description="An invited member joins and keeps its id.",
    ),
    Operation(
        "deleteMember",
        "DELETE",
        "/conversations/{conversation_id}/members/{member_id}",
        "Member",
        "Delete a member",
        delete,
        answers.Empty,
        query=("from", "reason_code", "reason_text"),
        errors=(404,),
        description="Leave, decline or remove: the member's state becomes `left`, and `member:left` is appended to the log.",
    ),
)
