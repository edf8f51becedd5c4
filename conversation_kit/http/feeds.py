"""The endpoints of a user's feed: the live events of all their conversations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from conversation_kit.domain.errors import Forbidden
from conversation_kit.domain.events import Event, located
from conversation_kit.domain.ids import new_id
from conversation_kit.domain.reading import Page
from conversation_kit.http import answers, tickets
from conversation_kit.http.calls import Call
from conversation_kit.http.errors import DoorError
from conversation_kit.http.eventsource import EventSourceLine, EventStream, piece, record
from conversation_kit.http.mounting import Message
from conversation_kit.http.operations import Operation
from conversation_kit.http.responses import Answer
from conversation_kit.http.sockets import Permit, Socket, SocketLine, text_frame
from conversation_kit.live.feeds import Arrival, Feed
from conversation_kit.services.listening import feed


async def events(call: Call) -> EventStream[Arrival]:
    """Stream the events of a user's conversations."""
    if not call.wants_stream:
        raise DoorError("http:error:not-acceptable", "This is a stream: send Accept: text/event-stream, or open a WebSocket.")
    inbox, data = _open(call), _data(call)

    def put(item: Arrival) -> dict[str, Any]:
        return piece(record(item.cursor if item.event.id is not None else None, data(item)))

    return EventStream(call, inbox, EventSourceLine(put, lambda: f"id: {inbox.cursor}\n\n".encode()))


def socket(call: Call, permit: Permit) -> Socket[Arrival]:
    """The WebSocket of a user's feed."""
    data = _data(call)

    def put(item: Arrival) -> Message:
        text = data(item)
        return {"type": "websocket.send", "text": text if item.event.id is None else f'{text[:-1]},"cursor":"{item.cursor}"}}'}

    def listen() -> tuple[Feed, SocketLine[Arrival]]:
        inbox = _open(call)
        return inbox, SocketLine(put, lambda: (text_frame({"cursor": inbox.cursor}),))

    return Socket(call, permit, listen)


def _open(call: Call) -> Feed:
    acting = call.acting
    acl = acting.principal.acl

    def covers(conversation_id: str) -> bool:
        return acl is None or call.is_covered(acl, "GET", _path(conversation_id))

    after = call.header(b"last-event-id") or call.query.get("after")
    return feed(acting.core, acting.principal, call.params["user_id"], after, covers)


def _path(conversation_id: str) -> str:
    return f"/conversations/{conversation_id}/events"


def _data(call: Call) -> Callable[[Arrival], str]:
    """How an event is put: as its conversation has it, and with the conversation's id behind that."""
    links = call.links
    kind = f"feed {links.base}"

    def put(event: Event) -> str:
        data = located(event.data, links.event(event.conversation_id, ""))
        return f'{data[:-1]},"conversation_id":{to_json(event.conversation_id).decode()}}}' if event.conversation_id else data

    return lambda item: item.published.frame(kind, put)


async def create_ticket(call: Call) -> Answer:
    """Create a ticket for a user's feed."""
    user_id = call.params["user_id"]
    await call.raw()
    path, acl = f"/users/{user_id}/events", call.acting.principal.acl
    # A ticket carries no access list. One that covers a conversation that nobody could name covers all.
    any_conversation = _path(new_id("CON"))
    if acl is not None and not (call.is_covered(acl, "GET", path) and call.is_covered(acl, "GET", any_conversation)):
        raise Forbidden("The token's acl does not cover reading this stream, or not the events of every conversation.")
    await call.acting.users.conversations(user_id, Page(1))
    return tickets.answer(call, path, may_post=tickets.may_post(call, any_conversation))


EXTENSIONS = (
    Operation(
        "getUserEvents",
        "GET",
        "/users/{user_id}/events",
        "Stream",
        "Stream the events of a user's conversations",
        events,
        answers.Event,
        query=("after",),
        errors=(404, 406),
        description="With `Accept: text/event-stream`, and as a WebSocket, a live stream of the events of all conversations that the "
        "user is joined in, and of invitations to others, each with its `conversation_id`. It goes on after the cursor in `Last-Event-ID` "
        "or `after`: the `id` of the last record; `0` begins with each membership. For admins and the user.",
        media_type="text/event-stream",
        extension=True,
    ),
    Operation(
        "createUserStreamTicket",
        "POST",
        "/users/{user_id}/tickets",
        "Stream",
        "Create a ticket for the stream of a user's events",
        create_ticket,
        answers.StreamTicket,
        201,
        errors=(404,),
        extension=True,
        description="As `createStreamTicket`; `href` opens `/users/{user_id}/events`.",
    ),
)
