"""The endpoints of a user's feed: the live events of all their conversations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from conversation_kit.domain.errors import Forbidden
from conversation_kit.domain.events import Event, located
from conversation_kit.domain.reading import Page
from conversation_kit.domain.values.ids import new_id
from conversation_kit.http.beta.frames import EVENTS, Frames
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.beta.streams import may_post, ticket_response
from conversation_kit.http.beta.users import is_own_user, user_id
from conversation_kit.http.live.sse import EventStream, SSEFormat, piece, record
from conversation_kit.http.live.websocket import Socket, WebSocketFormat, text_frame, with_cursor
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.mounting import Message
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import Response
from conversation_kit.live.feeds import Arrival, Feed
from conversation_kit.services.streams import feed


async def events(request: Request[Links]) -> EventStream[Arrival]:
    """Stream the events of a user's conversations."""
    if not request.wants_stream:
        raise HTTPError("http:error:not-acceptable", "This is a stream: send Accept: text/event-stream, or open a WebSocket.")
    buffer, data = _open(request), _data(request)

    def put(item: Arrival) -> dict[str, Any]:
        return piece(record(item.cursor if item.event.id is not None else None, data(item)))

    return EventStream(request, EVENTS, buffer, lambda: SSEFormat(put, lambda: f"id: {buffer.cursor}\n\n".encode()))


def socket(request: Request[Links]) -> Socket[Arrival]:
    """Return the WebSocket of a user's feed."""
    data = _data(request)

    def put(item: Arrival) -> Message:
        text = data(item)
        return {"type": "websocket.send", "text": text if item.event.id is None else with_cursor(text, item.cursor)}

    def listen() -> tuple[Feed, Callable[[], WebSocketFormat[Arrival]]]:
        buffer = _open(request)
        return buffer, lambda: WebSocketFormat(put, lambda: (text_frame({"cursor": buffer.cursor}),))

    return Socket(request, EVENTS, listen, Frames(request).answer)


def _open(request: Request[Links]) -> Feed:
    kit = request.kit
    acl = kit.principal.acl

    def covers(conversation_id: str) -> bool:
        return acl is None or request.is_covered(acl, "GET", Links.events_path(conversation_id))

    after = request.header(b"last-event-id") or request.query.get("after")
    named = None if is_own_user(request) else request.params["user_id"]
    asked = request.query.get("conversations")
    among = None if asked is None else [id for id in asked.split(",") if id]
    return feed(kit.context, kit.principal, named, after, covers, among)


def _data(request: Request[Links]) -> Callable[[Arrival], str]:
    """Return the function that writes an event: as its conversation has it, with the conversation's id behind that."""
    links = request.links
    kind = f"feed {links.base}"

    def put(event: Event) -> str:
        data = located(event.data, links.event(event.conversation_id, ""))
        return f'{data[:-1]},"conversation_id":{to_json(event.conversation_id).decode()}}}' if event.conversation_id else data

    return lambda item: item.published.frame(kind, put)


async def create_ticket(request: Request[Links]) -> Response:
    """Create a ticket for a user's feed."""
    id = await user_id(request)
    await request.raw()
    path, acl = f"/users/{id}/events", request.kit.principal.acl
    # A ticket carries no access list. One that covers a conversation that nobody could name covers all.
    any_conversation = Links.events_path(new_id("CON"))
    if acl is not None and not (request.is_covered(acl, "GET", path) and request.is_covered(acl, "GET", any_conversation)):
        raise Forbidden("The token's acl does not cover reading this stream, or not the events of every conversation.")
    await request.kit.users.conversations(id, Page(1))
    return await ticket_response(request, path, may_post=may_post(request, any_conversation))


EXTENSIONS = (
    Operation(
        "getUserEvents",
        "GET",
        "/users/{user_id}/events",
        "Stream",
        "Stream the events of a user's conversations",
        events,
        responses.EventRecords,
        query=("after", "conversations"),
        stream_query=("after", "conversations"),
        socket=socket,
        errors=(404, 406),
        description="With `Accept: text/event-stream`, and as a WebSocket, a live stream of the events of all conversations that the user "
        "is joined in, and of invitations to others, each with its `conversation_id`. It goes on after the cursor in "
        "`Last-Event-ID` or `after`: the `id` of the last record; `0` begins with each membership. It follows 500 conversations, "
        "joined ones first and then those that were made last; `conversation:left-out` names others, and `conversations` asks "
        "for up to 100 by their ids. For admins and the user.",
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
        responses.StreamTicket,
        201,
        errors=(404, 429),
        extension=True,
        description="As `createStreamTicket`; `href` opens `/users/{user_id}/events`.",
    ),
)
