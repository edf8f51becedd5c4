"""The endpoints of legs."""

from __future__ import annotations

from conversation_kit.domain.bodies import without_none
from conversation_kit.domain.models import Leg
from conversation_kit.domain.times import to_text
from conversation_kit.http import answers
from conversation_kit.http.calls import Call
from conversation_kit.http.links import Links
from conversation_kit.http.lists import page_of
from conversation_kit.http.operations import DATES, PAGING, Operation
from conversation_kit.http.responses import EMPTY, Answer


async def list_(call: Call) -> Answer:
    """List legs."""
    page = call.page(10)
    found = await call.acting.legs.list(page)
    return Answer.json(page_of(call, page, found.total, {"legs": [_leg(leg, call.links) for leg in found.items]}))


async def delete(call: Call) -> Answer:
    """Delete a leg."""
    await call.acting.legs.delete(call.params["leg_id"])
    return EMPTY


def _leg(leg: Leg, links: Links) -> answers.Leg:
    href = links.leg(leg.id)
    end = to_text(leg.end_time) if leg.end_time is not None else ""
    answer: answers.Leg = {
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
        answer["state"] = "terminated"
        answer["rtc"]["state"] = "terminated"
    return answer


OPERATIONS = (
    Operation(
        "listLegs",
        "GET",
        "/legs",
        "Leg",
        "List legs",
        list_,
        answers.LegList,
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
        answers.Empty,
        errors=(404,),
        description="Hangs a live leg up, which stays listed as `completed`; takes an ended one off the list. For admins.",
    ),
)
