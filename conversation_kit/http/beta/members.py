"""The endpoints of members."""

from __future__ import annotations

from typing import cast

from conversation_kit.decisions.bodies import times, without_none
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.models import Member
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.lists import next_of
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.beta.schemas.bodies import ActorBody, Channel, MemberBody, MemberUpdateBody
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.query import PAGING
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Response


async def create(request: Request[Links]) -> Response:
    """Create a member."""
    body = await request.body(MemberBody)
    given = {name: value for name, value in body.given().items() if name != "action"}
    members = request.kit.members
    conversation_id = request.params["conversation_id"]
    if body.action == "join":
        member = await members.join(conversation_id, **given)
    else:
        given.pop("member_id", None)
        member = await members.invite(conversation_id, **given)
    return Response.json(_created(member, request), 201)


async def list_(request: Request[Links]) -> Response:
    """List members."""
    page = request.page()
    found = await request.kit.members.list(request.params["conversation_id"], page, state=request.words("state"))
    rows: list[responses.ListedMember] = [
        {
            "id": member.id,
            "member_id": member.id,
            "user_id": member.user_id,
            "user_name": member.user_name,
            "name": member.user_name,
            **without_none(display_name=member.display_name, image_url=member.image_url),  # type: ignore[typeddict-item]
            "state": member.state.value,
        }
        for member in found.items
    ]
    return Response.json(rows, headers=next_of(request, page, found))


async def retrieve(request: Request[Links]) -> Response:
    """Retrieve a member."""
    member = await request.kit.members.get(request.params["conversation_id"], request.params["member_id"])
    return Response.json(_full(member, request))


async def update(request: Request[Links]) -> Response:
    """Update a member."""
    body = await request.body(MemberUpdateBody)
    if body.action != "join":
        raise Conflict("A member that is there can only join.", "conversation:error:invalid-action")
    member = await request.kit.members.join(request.params["conversation_id"], member_id=request.params["member_id"], channel=body.channel)
    return Response.json(_full(member, request))


async def delete(request: Request[Links]) -> Response:
    """Delete a member."""
    body = await request.lenient_body(ActorBody)
    await request.kit.members.remove(
        request.params["conversation_id"],
        request.params["member_id"],
        sender=request.text("from") or body.sender,
        reason_code=request.text("reason_code"),
        reason_text=request.text("reason_text"),
    )
    return EMPTY


def channel_of(member: Member) -> Channel:
    """Return a member's channel."""
    return cast(Channel, dict(member.channel))


def initiator_of(member: Member) -> responses.Initiator:
    """Return the ones who brought a member to its states."""
    return cast(responses.Initiator, dict(member.initiator))


def _created(member: Member, request: Request[Links]) -> responses.CreatedMember:
    return {
        "id": member.id,
        "user_id": member.user_id,
        "state": member.state.value,
        "timestamp": times(invited=member.invited, joined=member.joined, left=member.left),  # type: ignore[typeddict-item]
        "channel": channel_of(member),
        "href": request.links.member(member.conversation_id, member.id),
        "initiator": initiator_of(member),
    }


def _full(member: Member, request: Request[Links]) -> responses.Member:
    return {
        **_created(member, request),
        "user_name": member.user_name,
        "name": member.user_name,
        **without_none(  # type: ignore[typeddict-item]
            display_name=member.display_name, image_url=member.image_url, media=member.media, invited_by=member.invited_by
        ),
    }


OPERATIONS = (
    Operation(
        "createMember",
        "POST",
        "/conversations/{conversation_id}/members",
        "Member",
        "Create a member",
        create,
        responses.CreatedMember,
        201,
        body=MemberBody,
        body_required=True,
        examples={"Join": {"action": "join", "user_name": "ana"}, "Invite": {"action": "invite", "user_name": "bo"}},
        errors=(404, 429),
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
        list[responses.ListedMember],
        query=(*PAGING, "state"),
        errors=(404,),
        description="Those that left too, oldest first; `state=joined` asks for who is there. "
        "A `Link` header with `rel=next` tells where a long list goes on.",
    ),
    Operation(
        "getMember",
        "GET",
        "/conversations/{conversation_id}/members/{member_id}",
        "Member",
        "Retrieve a member",
        retrieve,
        responses.Member,
        errors=(404,),
    ),
    Operation(
        "updateMember",
        "PUT",
        "/conversations/{conversation_id}/members/{member_id}",
        "Member",
        "Update a member",
        update,
        responses.Member,
        body=MemberUpdateBody,
        examples={"Accept the invitation": {"action": "join"}},
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
        responses.Empty,
        query=("from", "reason_code", "reason_text"),
        older_body=ActorBody,
        errors=(404,),
        description="Leave, decline or remove: the member's state becomes `left`, and `member:left` is appended to the log.",
    ),
)
