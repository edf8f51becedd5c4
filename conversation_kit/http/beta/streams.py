"""The live events of a conversation, over HTTP and WebSockets, and tickets that open them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from conversation_kit.domain.errors import Forbidden
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.values.epochs import FIRST_EPOCH
from conversation_kit.domain.values.times import to_text
from conversation_kit.http.beta.frames import EVENTS, Frames
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.live import sse, websocket
from conversation_kit.http.live.sse import EventStream, SSEFormat
from conversation_kit.http.live.streams import Streams, WireFormat, position
from conversation_kit.http.live.tickets import LIFETIME
from conversation_kit.http.live.websocket import Socket, WebSocketFormat, text_frame
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import Response
from conversation_kit.live.buffer import Buffer
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.live.topics import Published


def _subscribe(request: Request[Links]) -> Subscription:
    after = position(request.query, request.header(b"last-event-id"))
    return request.kit.subscribe(request.params["conversation_id"], after=after)


def events(request: Request[Links]) -> EventStream[Published]:
    """Return the live events of a conversation. Raises ``invalid_cursor`` for a position that cannot be one."""
    subscription = _subscribe(request)
    prefix = request.links.event(request.params["conversation_id"], "")

    def wire() -> SSEFormat[Published]:
        first = f"id: {subscription.cursor}\n\n".encode()
        return SSEFormat(sse.message(prefix, subscription.epoch or FIRST_EPOCH), lambda: first)

    return EventStream(request, EVENTS, subscription, wire)


def socket(request: Request[Links]) -> Socket[Published]:
    """Return the WebSocket of a conversation's events."""
    conversation_id = request.params["conversation_id"]
    prefix = request.links.event(conversation_id, "")

    def listen() -> tuple[Buffer[Published], Callable[[], WireFormat[Published]]]:
        subscription = _subscribe(request)

        def wire() -> WebSocketFormat[Published]:
            first = text_frame({"cursor": subscription.cursor})
            return WebSocketFormat(websocket.message(prefix, subscription.epoch or FIRST_EPOCH), lambda: (first,))

        return subscription, wire

    return Socket(request, EVENTS, listen, Frames(request, conversation_id).answer)


async def create_ticket(request: Request[Links]) -> Response:
    """Create a ticket for the stream of a conversation."""
    conversation_id = request.params["conversation_id"]
    await request.raw()
    acl, path = request.kit.principal.acl, Links.events_path(conversation_id)
    if acl is not None and not request.is_covered(acl, "GET", path):
        raise Forbidden("The token's acl does not cover reading this stream.")
    await request.kit.events.page(conversation_id, EventRange(size=1))
    return await ticket_response(request, path, may_post=may_post(request, path))


def may_post(request: Request[Links], path: str) -> bool:
    """Tell whether the caller's access list lets every event be posted to ``path``."""
    acl = request.kit.principal.acl
    return acl is None or (not acl.reads_fields and request.is_covered(acl, "POST", path))


async def ticket_response(request: Request[Links], path: str, *, may_post: bool) -> Response:
    """Answer with a ticket of the caller's for the stream at ``path``. Raises ``TooManyRequests``."""
    if (limiter := request.kit.context.limiter) is not None:
        await limiter.take(request.kit.principal, {"tickets": 1})
    ticket = Streams.of(request).tickets.issue(request.kit.principal, path, may_post=may_post)
    expires = datetime.fromtimestamp(time.time() + LIFETIME, UTC)
    made: responses.StreamTicket = {
        "ticket": ticket,
        "href": request.links.stream(path, ticket),
        "timestamp": {"expires": to_text(expires)},
    }
    return Response.json(made, 201)


EXTENSIONS = (
    Operation(
        "createStreamTicket",
        "POST",
        "/conversations/{conversation_id}/tickets",
        "Stream",
        "Create a ticket for a live stream",
        create_ticket,
        responses.StreamTicket,
        201,
        errors=(404, 429),
        extension=True,
        description="For browsers, whose `EventSource` and `WebSocket` send no `Authorization` header: `href` with its `ticket` opens "
        "`/conversations/{conversation_id}/events` once, within a minute, as the caller.",
    ),
)
