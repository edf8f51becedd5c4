"""Live events over HTTP as server-sent events (WHATWG HTML, section 9.2), which a browser's ``EventSource`` takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic_core import to_json

from conversation_kit.domain.errors import StreamEnded
from conversation_kit.domain.events import Event, located
from conversation_kit.http.calls import Call
from conversation_kit.http.errors import answer_error
from conversation_kit.http.mounting import Message, Send
from conversation_kit.http.streams import LINES, Line, Outlet, position, pump
from conversation_kit.live.inboxes import Inbox, Item
from conversation_kit.live.topics import Published

T = TypeVar("T", bound=Item)

RETRY_MILLISECONDS = (1000, 3000)
"""When a browser that has lost its stream comes again: some time in between, so that not all come at once."""


class EventSourceLine(Generic[T]):
    """Server-sent events as ``EventSource`` takes them: ``message`` events with the event's id, and a last one of type ``end``.

    ``message`` makes the piece of the body that one of them is, ``first`` tells what comes before all of them.
    """

    def __init__(self, message: Callable[[T], dict[str, Any]], first: Callable[[], bytes] = bytes) -> None:
        self.one = message
        """See ``Line.one``."""
        self._first = first

    def hello(self) -> Iterable[Message]:
        """See ``Line.hello``."""
        yield {"type": "http.response.start", "status": 200, "headers": _HEADERS}
        yield piece(b"retry: %d\n\n%s" % (random.randint(*RETRY_MILLISECONDS), self._first()))

    def many(self, items: Sequence[T]) -> Iterable[Message]:
        """See ``Line.many``: one piece of the body."""
        return [piece(b"".join([self.one(item)["body"] for item in items]))] if items else ()

    def heartbeat(self) -> Message:
        """See ``Line.heartbeat``: a comment."""
        return piece(b":\n\n")

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """See ``Line.goodbye``. Nothing but the end of the body when the client had better come again at once, as it does by itself."""
        body = b"" if end.is_stop else b"event: end\ndata: %s\n\n" % to_json({"code": end.code, "description": end.description})
        yield {"type": "http.response.body", "body": body}


def piece(body: bytes) -> dict[str, Any]:
    """Some of the body."""
    return {"type": "http.response.body", "body": body, "more_body": True}


class EventStream(Generic[T]):
    """The answer to a GET that accepts ``text/event-stream``."""

    __slots__ = ("_call", "_inbox", "_line")

    def __init__(self, call: Call, inbox: Inbox[T], line: Line[T]) -> None:
        self._call = call
        self._inbox = inbox
        self._line = line

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Answer until the client goes or the stream ends; what is wrong from the beginning is an ordinary error answer."""
        started = False
        try:
            with self._call.streams.opened(self._call.acting.principal):
                async with self._inbox:
                    started = True
                    await self._run(send)
        except Exception as error:
            if started:
                raise
            await answer_error(error, self._call.path).send(send, head=head)

    async def _run(self, send: Send) -> None:
        streams, acting, inbox = self._call.streams, self._call.acting, self._inbox
        deadline = streams.deadline(acting.principal, acting.core.clock())
        inbox.group.start_soon(self._watch)
        await pump(inbox, Outlet(send, inbox.wake, self._line), deadline, streams.limits.heartbeat_seconds)

    async def _watch(self) -> None:
        """Notice that the client has gone."""
        while (await self._call.receive())["type"] != "http.disconnect":
            pass
        self._inbox.group.cancel_scope.cancel()


_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def events(call: Call) -> EventStream[Published]:
    """The live events of a conversation. Raises ``invalid_cursor`` for a position that cannot be one."""
    conversation_id = call.params["conversation_id"]
    subscription = call.acting.subscribe(conversation_id, after=position(call.query, call.header(b"last-event-id")))
    return EventStream(call, subscription, line(call.links.event(conversation_id, "")))


@lru_cache(LINES)
def line(prefix: str) -> EventSourceLine[Published]:
    """How the events of a conversation are put, with hrefs that begin with ``prefix``."""
    kind = f"event source {prefix}"

    def put(event: Event) -> dict[str, Any]:
        return piece(record(event.id, located(event.data, prefix)))

    # Made once, and a copy for each: a server may change what it is given.
    return EventSourceLine(lambda item: item.frame(kind, put).copy())


def record(id: object | None, data: str) -> bytes:
    """One event of a stream, with its id if it has one; no JSON text of an event has a line break in it."""
    return (f"id: {id}\ndata: {data}\n\n" if id is not None else f"data: {data}\n\n").encode()
