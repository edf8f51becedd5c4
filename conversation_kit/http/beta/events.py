"""The endpoints of events."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic_core import to_json

from conversation_kit.domain.errors import event_not_found
from conversation_kit.domain.events import SEPARATOR, EventPage, located, located_page, receipts_state
from conversation_kit.domain.models import Receipt
from conversation_kit.http.beta import streams
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.lists import next_link
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.beta.schemas.bodies import ActorBody, EventBody
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.query import EVENT_IDS, PAGING
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Reply, Response

_DIGITS = re.compile(r"[0-9]{1,16}")


async def create(request: Request[Links]) -> Response:
    """Create an event."""
    body = await request.body(EventBody)
    event = await request.kit.events.create(request.params["conversation_id"], body.type, body.body, sender=body.sender, to=body.to)
    id, at = event.id, event.fields["timestamp"]
    response: responses.CreatedEvent = {"timestamp": at}
    if id is not None:
        response = {"id": str(id), "timestamp": at, "href": request.links.event(event.conversation_id, id)}
    return Response.json(response, 201)


async def list_(request: Request[Links]) -> Reply:
    """List events, or stream them."""
    if request.wants_stream:
        return streams.events(request)
    wanted = request.event_range()
    page = await request.kit.events.page(request.params["conversation_id"], wanted)
    prefix = request.links.event(page.conversation_id, "")
    if page.rendered is None or page.rendered[0] != prefix:
        page.rendered = prefix, _rendered(page, prefix)
    return Response(page.rendered[1], headers=next_link(request, wanted, len(page.ids), page.is_cut or len(page.ids) == wanted.size))


async def retrieve(request: Request[Links]) -> Response:
    """Retrieve an event."""
    event = await request.kit.events.get(request.params["conversation_id"], _event_id(request))
    data = _with_state(event.data, event.receipts)
    return Response(located(data, request.links.event(event.conversation_id, "")).encode())


async def delete(request: Request[Links]) -> Response:
    """Delete an event."""
    body = await request.lenient_body(ActorBody)
    await request.kit.events.delete(request.params["conversation_id"], _event_id(request), sender=request.text("from") or body.sender)
    return EMPTY


def _event_id(request: Request[Links]) -> int:
    """Return the event that the path names."""
    text = request.params["event_id"]
    if not _DIGITS.fullmatch(text):
        raise event_not_found("with that id")
    return int(text)


def _rendered(page: EventPage, prefix: str) -> bytes:
    """Return the events of a page as JSON, with hrefs that begin with ``prefix``."""
    receipts = page.receipts
    text = page.text if not receipts else SEPARATOR.join([_with_state(data, receipts.get(id)) for id, data in page.rows])
    return b"".join((b"[", located_page(text, len(page.ids), prefix), b"]"))


def _with_state(data: str, receipts: Sequence[Receipt] | None) -> str:
    """Return an event's JSON with how far it got."""
    return f'{data[:-1]},"state":{to_json(receipts_state(receipts)).decode()}}}' if receipts else data


OPERATIONS = (
    Operation(
        "createEvent",
        "POST",
        "/conversations/{conversation_id}/events",
        "Event",
        "Create an event",
        create,
        responses.CreatedEvent,
        201,
        body=EventBody,
        body_required=True,
        examples={
            "Say something": {"type": "text", "body": {"text": "Hello"}},
            "Tell that an event was seen": {"type": "text:seen", "body": {"event_id": "3"}},
            "Tell that somebody types": {"type": "text:typing:on"},
            "Something of your own": {"type": "custom:rating", "body": {"stars": 5}},
        },
        errors=(404, 429),
        description="Appends to the log at the next id. Receipts (`text:seen`, `text:delivered` and their like) show in the `state` of "
        "the event that they are about. Typing (`text:typing:on`, `text:typing:off`) is passed on and not kept, and gets no id.",
    ),
    Operation(
        "getEvents",
        "GET",
        "/conversations/{conversation_id}/events",
        "Event",
        "List events",
        list_,
        list[responses.Event],
        query=(*PAGING, *EVENT_IDS),
        stream_query=("after",),
        socket=streams.socket,
        errors=(404,),
        description="For admins and joined members, by id. A `Link` header with `rel=next` tells where a long list goes on. "
        "With `Accept: text/event-stream`, and as a WebSocket, it is a live stream: from now on, or after the event of the id in "
        "`Last-Event-ID` or `after`. See `createStreamTicket` for browsers.",
    ),
    Operation(
        "getEvent",
        "GET",
        "/conversations/{conversation_id}/events/{event_id}",
        "Event",
        "Retrieve an event",
        retrieve,
        responses.Event,
        errors=(404,),
    ),
    Operation(
        "deleteEvent",
        "DELETE",
        "/conversations/{conversation_id}/events/{event_id}",
        "Event",
        "Delete an event",
        delete,
        responses.Empty,
        query=("from",),
        older_body=ActorBody,
        errors=(404,),
        description="Empties the event, which stays at its id, and appends `event:delete`. For admins and the author.",
    ),
)
