"""Live events over HTTP as server-sent events (WHATWG HTML, section 9.2), which a browser's ``EventSource`` takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from conversation_kit.domain.errors import StreamEnded
from conversation_kit.domain.events import Event, located
from conversation_kit.domain.principals import Principal
from conversation_kit.http.calls import Call
from conversation_kit.http.errors import answer_error
from conversation_kit.http.mounting import Message, Receive, Send
from conversation_kit.http.streams import LINES, Outlet, Streams, position, pump
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.live.topics import Published

RETRY_MILLISECONDS = (1000, 3000)
"""When a browser that has lost its stream comes again: some time in between, so that not all come at once."""


class EventSourceLine:
    """Server-sent events as ``EventSource`` takes them: ``message`` events with the event's id, and a last one of type ``end``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._kind = f"event source {prefix}"

    def hello(self) -> Iterable[Message]:
        """See ``Line.hello``."""
        yield {"type": "http.response.start", "status": 200, "headers": _HEADERS}
        yield _piece(b"retry: %d\n\n" % random.randint(*RETRY_MILLISECONDS))

    def one(self, item: Published) -> Message:
        """See ``Line.one``."""
        return item.frame(self._kind, self._message).copy()

    def many(self, items: Sequence[Published]) -> Iterable[Message]:
        """See ``Line.many``: one piece of the body."""
        return [_piece(b"".join([item.frame(self._kind, self._message)["body"] for item in items]))] if items else ()

    def heartbeat(self) -> Message:
        """See ``Line.heartbeat``: a comment."""
        return _piece(b":\n\n")

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """See ``Line.goodbye``. Nothing but the end of the body when the client had better come again at once, as it does by itself."""
        body = b"" if end.is_stop else b"event: end\ndata: %s\n\n" % to_json({"code": end.code, "description": end.description})
        yield {"type": "http.response.body", "body": body}

    def _message(self, event: Event) -> dict[str, Any]:
        # No JSON text of an event has a line break in it.
        data = located(event.data, self._prefix)
        return _piece((f"id: {event.id}\ndata: {data}\n\n" if event.id is not None else f"data: {data}\n\n").encode())


_line = lru_cache(LINES)(EventSourceLine)


def _piece(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


@dataclass(slots=True)
class EventStream:
    """The answer to a GET that accepts ``text/event-stream``."""

    streams: Streams
    subscription: Subscription
    principal: Principal
    prefix: str
    path: str
    receive: Receive
    clock: Callable[[], datetime]

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Answer until the client goes or the stream ends; what is wrong from the beginning is an ordinary error answer."""
        started = False
        try:
            with self.streams.opened(self.principal):
                async with self.subscription as subscription:
                    started = True
                    await self._run(subscription, send)
        except Exception as error:
            if started:
                raise
            await answer_error(error, self.path).send(send, head=head)

    async def _run(self, subscription: Subscription, send: Send) -> None:
        deadline = self.streams.deadline(self.principal, self.clock())
        subscription.group.start_soon(self._watch, subscription)
        outlet = Outlet(send, subscription.wake, _line(self.prefix))
        await pump(subscription, outlet, deadline, self.streams.limits.heartbeat_seconds)

    async def _watch(self, subscription: Subscription) -> None:
        """Notice that the client has gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        subscription.group.cancel_scope.cancel()


_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def events(call: Call) -> EventStream:
    """The live events of a conversation. Raises ``invalid_cursor`` for a position that cannot be one."""
    conversation_id = call.params["conversation_id"]
    after = position(call.query, call.header(b"last-event-id"))
    return EventStream(
        call.streams,
        call.acting.subscribe(conversation_id, after=after),
        call.acting.principal,
        call.links.event(conversation_id, ""),
        call.path,
        call.receive,
        call.acting.core.clock,
    )
