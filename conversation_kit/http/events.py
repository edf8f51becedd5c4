"""The endpoints of events."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import to_json

from conversation_kit.domain.events import SEPARATOR, located, located_page, receipts_state
from conversation_kit.domain.models import Receipt
from conversation_kit.http import answers, eventsource
from conversation_kit.http.calls import Call
from conversation_kit.http.lists import next_link
from conversation_kit.http.operations import EVENT_IDS, PAGING, Operation
from conversation_kit.http.requests import ActorBody, EventBody
from conversation_kit.http.responses import EMPTY, Answer, Reply


async def create(call: Call) -> Answer:
    """Create an event."""
    body = await call.body(EventBody)
    event = await call.acting.events.create(call.params["conversation_id"], body.type, body.body, sender=body.sender, to=body.to)
    id, at = event.id, event.fields["timestamp"]
    answer: answers.CreatedEvent = {"timestamp": at}
    if id is not None:
        answer = {"id": str(id), "timestamp": at, "href": call.links.event(event.conversation_id, id)}
    return Answer.json(answer, 201)


async def list_(call: Call) -> Reply:
    """List events, or stream them."""
    if call.wants_stream:
        return eventsource.events(call)
    wanted = call.event_range()
    page = await call.acting.events.page(call.params["conversation_id"], wanted)
    receipts = page.receipts
    text = page.text if not receipts else SEPARATOR.join([_with_state(data, receipts.get(id)) for id, data in page.rows])
    body = located_page(text, len(page.ids), call.links.event(page.conversation_id, ""))
    return Answer(b"".join((b"[", body, b"]")), headers=next_link(call, wanted, len(page.ids) == wanted.size))


async def retrieve(call: Call) -> Answer:
    """Retrieve an event."""
    event = await call.acting.events.get(call.params["conversation_id"], call.event_id())
    data = _with_state(event.data, event.receipts)
    return Answer(located(data, call.links.event(event.conversation_id, "")).encode())


async def delete(call: Call) -> Answer:
    """Delete an event."""
    body = await call.lenient_body(ActorBody)
    await call.acting.events.delete(call.params["conversation_id"], call.event_id(), sender=call.text("from") or body.sender)
    return EMPTY


def _with_state(data: str, receipts: Sequence[Receipt] | None) -> str:
    """An event's JSON with how far it got."""
    return f'{data[:-1]},"state":{to_json(receipts_state(receipts)).decode()}}}' if receipts else data


OPERATIONS = (
    Operation(
        "createEvent",
        "POST",
        "/conversations/{conversation_id}/events",
        "Event",
        "Create an event",
        create,
        answers.CreatedEvent,
        201,
        body=EventBody,
        body_required=True,
        errors=(404,),
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
        list[answers.Event],
        query=(*PAGING, *EVENT_IDS),
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
        answers.Event,
        errors=(404,),
    ),
    Operation(
        "deleteEvent",
        "DELETE",
        "/conversations/{conversation_id}/events/{event_id}",
        "Event",
        "Delete an event",
        delete,
        answers.Empty,
        query=("from",),
        errors=(404,),
        description="Empties the event, which stays at its id, and appends `event:delete`. For admins and the author.",
    ),
)
