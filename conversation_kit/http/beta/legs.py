"""The endpoints of legs."""

from __future__ import annotations

from conversation_kit.decisions.bodies import without_none
from conversation_kit.domain.models import Leg
from conversation_kit.domain.values.times import to_text
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.lists import page_of
from conversation_kit.http.beta.schemas import legs as leg_responses
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.query import DATES, PAGING
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Response


async def list_(request: Request[Links]) -> Response:
    """List legs."""
    page = request.page(10)
    found = await request.kit.legs.list(page)
    return Response.json(page_of(request, page, found, {"legs": [_leg(leg, request.links) for leg in found.items]}))


async def delete(request: Request[Links]) -> Response:
    """Delete a leg."""
    await request.kit.legs.delete(request.params["leg_id"])
    return EMPTY


def _leg(leg: Leg, links: Links) -> leg_responses.Leg:
    href = links.leg(leg.id)
    end = to_text(leg.end_time) if leg.end_time is not None else ""
    response: leg_responses.Leg = {
        "uuid": leg.id,
        "name": leg.id,
        "href": href,
        "type": leg.type,
        **without_none(  # type: ignore[typeddict-item]
            conversation_uuid=leg.conversation_id, member_id=leg.member_id, knocking_id=leg.knocking_id
        ),
        "status": leg.status.value,
        "direction": leg.direction,
        "from": dict(leg.sender),
        "to": dict(leg.to),
        "start_time": to_text(leg.start_time) if leg.start_time is not None else "",
        "start_end": end,
        "end_time": end,
        **without_none(duration=leg.duration, rate=leg.rate, price=leg.price, network=leg.network),
        "rtc": {"session_id": leg.session_id},
        "_links": {"self": {"href": href}},
        "_embedded": {},
    }
    if not leg.is_live:
        response["state"] = "terminated"
        response["rtc"]["state"] = "terminated"
    return response


OPERATIONS = (
    Operation(
        "listLegs",
        "GET",
        "/legs",
        "Leg",
        "List legs",
        list_,
        leg_responses.LegList,
        query=(*DATES, *PAGING),
        page_size=10,
        description="For admins: live legs, which have a `status` and no `state`, and ended ones.",
    ),
    Operation(
        "deleteLeg",
        "DELETE",
        "/legs/{leg_id}",
        "Leg",
        "Delete a leg",
        delete,
        responses.Empty,
        errors=(404,),
        slashes=True,  # ids are a carrier's
        description="Hangs a live leg up, which stays listed as `completed`; takes an ended one off the list. For admins.",
    ),
)
