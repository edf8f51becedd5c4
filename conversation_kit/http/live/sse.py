"""Live events over HTTP as server-sent events (WHATWG HTML, section 9.2), which a browser's ``EventSource`` takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic_core import to_json

from conversation_kit.domain.errors import StreamEnded
from conversation_kit.domain.events import Event, located
from conversation_kit.domain.values.epochs import cursor_text
from conversation_kit.http.live.streams import WIRE_FORMATS, Streams, StreamWriter, WireFormat, pump
from conversation_kit.http.serving.mounting import Message, Send
from conversation_kit.http.serving.request import Request
from conversation_kit.live.buffer import Buffer, Item
from conversation_kit.live.topics import Published

T = TypeVar("T", bound=Item)

RETRY_MILLISECONDS = (1000, 3000)
"""Milliseconds after which a browser that has lost its stream comes again: some time in between, so that not all come at once."""


class SSEFormat(Generic[T]):
    """Server-sent events as ``EventSource`` takes them: ``message`` events with the event's id, and a last one of type ``end``.

    ``message`` makes the piece of the body that one of them is, ``first`` tells what comes before all of them.
    """

    def __init__(self, message: Callable[[T], dict[str, Any]], first: Callable[[], bytes] = bytes) -> None:
        self.one = message
        """See ``WireFormat.one``."""
        self._first = first

    def hello(self) -> Iterable[Message]:
        """See ``WireFormat.hello``."""
        yield {"type": "http.response.start", "status": 200, "headers": _HEADERS}
        yield piece(b"retry: %d\n\n%s" % (random.randint(*RETRY_MILLISECONDS), self._first()))

    def many(self, items: Sequence[T]) -> Iterable[Message]:
        """See ``WireFormat.many``: one piece of the body."""
        return [piece(b"".join([self.one(item)["body"] for item in items]))] if items else ()

    def heartbeat(self) -> Message:
        """See ``WireFormat.heartbeat``: a comment."""
        return piece(b":\n\n")

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """See ``WireFormat.goodbye``. Only the end of the body when the client had better come again at once."""
        body = b"" if end.is_stop else b"event: end\ndata: %s\n\n" % to_json({"code": end.code, "description": end.description})
        yield {"type": "http.response.body", "body": body}


def piece(body: bytes) -> dict[str, Any]:
    """Return a message with some of the body."""
    return {"type": "http.response.body", "body": body, "more_body": True}


class EventStream(Generic[T]):
    """The answer to a GET that accepts ``text/event-stream``; ``operation`` is what a refusal of it is told as."""

    __slots__ = ("_buffer", "_operation", "_request", "_streams", "_wire")

    def __init__(self, request: Request[Any], operation: str, buffer: Buffer[T], wire: Callable[[], WireFormat[T]]) -> None:
        self._request = request
        self._streams = Streams.of(request)
        self._operation = operation
        self._buffer = buffer
        self._wire = wire
        """Called when the buffer has been entered."""

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Answer until the client goes or the stream ends; what is wrong from the beginning is an ordinary error answer."""
        request, started = self._request, False
        try:
            with self._streams.opened(request.kit.principal):
                async with self._buffer:
                    started = True
                    await self._run(send)
        except Exception as error:
            if started:
                raise
            request.mount.refusals.note(error, self._operation, request.kit.principal)
            await request.mount.answer_error(error, request.path).send(send, head=head)

    async def _run(self, send: Send) -> None:
        streams, kit, buffer = self._streams, self._request.kit, self._buffer
        deadline = streams.deadline(kit.principal, kit.context.clock())
        buffer.group.start_soon(self._watch)
        await pump(buffer, StreamWriter(send, buffer.wake, self._wire()), deadline, streams.limits.heartbeat_seconds)

    async def _watch(self) -> None:
        """Notice that the client has gone."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._buffer.group.cancel_scope.cancel()


_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # What would pack the stream (Node's compression, CDNs) would keep it until there is enough to pack.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


@lru_cache(WIRE_FORMATS)
def message(prefix: str, epoch: str) -> Callable[[Published], dict[str, Any]]:
    """Return the function that writes an event of a conversation, with hrefs that begin with ``prefix`` and ids of this epoch."""
    kind = f"event source {epoch} {prefix}"

    def put(event: Event) -> dict[str, Any]:
        return piece(record(cursor_text(event.id, epoch) if event.id is not None else None, located(event.data, prefix)))

    # Made once, and a copy for each: a server may change what it is given.
    return lambda item: item.frame(kind, put).copy()


def record(id: object | None, data: str) -> bytes:
    """One event of a stream, with its id if it has one; no JSON text of an event has a line break in it."""
    return (f"id: {id}\ndata: {data}\n\n" if id is not None else f"data: {data}\n\n").encode()
