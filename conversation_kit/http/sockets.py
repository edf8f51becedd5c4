"""Live events over a WebSocket, over which a client may also send events: the same service, hooks and rights as POST."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError
from pydantic_core import from_json, to_json

from conversation_kit.domain.errors import InvalidInput, StreamEnded
from conversation_kit.domain.events import Event, located
from conversation_kit.http.calls import Call
from conversation_kit.http.errors import DoorError, answer_error, invalid_body
from conversation_kit.http.mounting import Message, Scope, Send
from conversation_kit.http.pipes import Pipe
from conversation_kit.http.requests import EventBody
from conversation_kit.http.responses import Answer
from conversation_kit.http.streams import LINES, Line, Outlet, position, pump
from conversation_kit.live.inboxes import Inbox, Item
from conversation_kit.live.topics import Published

MAX_FRAME = 69_632
"""Bytes of a client's frame: those of the largest body, and room for what is around it."""

BURST = 5
"""Seconds' worth of frames that may come at once."""

POLICY: Final = 1008
CLOSE_CODES: Final[Mapping[str, int]] = {
    "stream:error:stopping": 1001,
    "stream:error:aged": 1001,
    "stream:error:binary": 1003,
    "http:error:payload-too-large": 1009,
    "stream:error:too-slow": 1013,
}
"""RFC 6455, 7.4.1, by the code of what ended the stream; everything else is about what the client may do."""

Permit = Callable[[str, Mapping[str, Any]], None]
"""Raises when the caller's access list does not let these top-level fields be posted to this conversation."""

T = TypeVar("T", bound=Item)


class Frame(EventBody):
    """What a client sends: an event, for which conversation where that is not plain, and whatever it wants to know the answer by."""

    conversation_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    tid: Annotated[str, Field(max_length=255)] | int | None = None


class SocketLine(Generic[T]):
    """One text frame for each event; an empty object is a heartbeat, and whatever has ``rid`` is no event.

    ``message`` makes the frame that one event is, ``first`` tells what comes before all of them.
    """

    def __init__(self, message: Callable[[T], Message], first: Callable[[], Iterable[Message]] = tuple) -> None:
        self.one = message
        """See ``Line.one``."""
        self._first = first

    def hello(self) -> Iterable[Message]:
        """See ``Line.hello``."""
        yield {"type": "websocket.accept"}
        yield from self._first()

    def many(self, items: Sequence[T]) -> Iterable[Message]:
        """See ``Line.many``."""
        return map(self.one, items)

    def heartbeat(self) -> Message:
        """See ``Line.heartbeat``. A server's own pings are nothing that a page can see."""
        return text_frame({})

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """See ``Line.goodbye``: the reason as a frame, and as the close code with the error's code."""
        yield text_frame({"rid": None, "code": end.code, "description": end.description})
        yield {"type": "websocket.close", "code": CLOSE_CODES.get(end.code, POLICY), "reason": end.code}


def text_frame(value: Any) -> Message:
    """A frame with this value as JSON."""
    return {"type": "websocket.send", "text": to_json(value).decode()}


class Socket(Generic[T]):
    """One WebSocket: what arrives in an inbox goes out, and events come in, for ``conversation_id`` if there is only one.

    ``listen`` makes the inbox. Raises ``invalid_cursor``.
    """

    __slots__ = ("_call", "_conversation_id", "_line", "_listen_to", "_permit")

    def __init__(
        self, call: Call, permit: Permit, listen: Callable[[], tuple[Inbox[T], Line[T]]], conversation_id: str | None = None
    ) -> None:
        self._call = call
        self._permit = permit
        self._listen_to = listen
        self._conversation_id = conversation_id

    async def serve(self, send: Send) -> None:
        """Accept it and serve it until either side closes; refuse it if it may not be."""
        call = self._call
        started = False
        try:
            inbox, line = self._listen_to()
            with call.streams.opened(call.acting.principal):
                async with inbox:
                    started = True
                    await self._run(inbox, Outlet(send, inbox.wake, line))
        except Exception as error:
            if started:
                raise
            await refuse(answer_error(error, call.path), call.scope, send)

    async def _run(self, inbox: Inbox[T], outlet: Outlet[T]) -> None:
        streams, principal = self._call.streams, self._call.acting.principal
        deadline = streams.deadline(principal, self._call.acting.core.clock())
        inbox.group.start_soon(self._listen, inbox, outlet)
        await pump(inbox, outlet, deadline, streams.limits.heartbeat_seconds)

    async def _listen(self, inbox: Inbox[T], pipe: Pipe) -> None:
        """Carry out what the client sends, one frame after the other, until it goes or has to."""
        bucket = _Bucket(self._call.streams.limits.frames_per_second)
        try:
            while True:
                message = await self._call.receive()
                if message["type"] == "websocket.disconnect":
                    break
                bucket.take()
                await pipe.write(text_frame(await self._answer(_frame_text(message))))
        except StreamEnded as end:
            inbox.end(end)
            return
        except OSError:
            pass  # it has gone
        inbox.group.cancel_scope.cancel()

    async def _answer(self, text: bytes) -> dict[str, Any]:
        rid: str | int | None = None
        try:
            rid, conversation_id, frame = self._parse(text)
            event = await self._call.acting.events.create(conversation_id, frame.type, frame.body, sender=frame.sender, to=frame.to)
        except Exception as error:
            if isinstance(error, _Unreadable):
                rid, error = error.rid, error.error
            answer: dict[str, Any] = from_json(answer_error(error, self._call.path).body)
            return {"rid": rid, **answer}
        if event.id is None:
            return {"rid": rid, "timestamp": event.fields["timestamp"]}
        href = self._call.links.event(event.conversation_id, event.id)
        return {"rid": rid, "id": str(event.id), "timestamp": event.fields["timestamp"], "href": href}

    def _parse(self, text: bytes) -> tuple[str | int | None, str, Frame]:
        rid: str | int | None = None
        try:
            try:
                fields = from_json(text)
            except ValueError as error:
                raise InvalidInput({"frame": "must be JSON"}) from error
            if not isinstance(fields, dict):
                raise InvalidInput({"frame": "must be an object"})
            given = fields.get("tid")
            if isinstance(given, (str, int)) and not isinstance(given, bool) and len(str(given)) <= 255:
                rid = given
            try:
                frame = Frame.model_validate_json(text)
            except ValidationError as error:
                raise invalid_body(error) from error
            conversation_id = self._conversation_of(frame)
            self._permit(conversation_id, fields)
        except Exception as error:
            raise _Unreadable(rid, error) from error
        return rid, conversation_id, frame

    def _conversation_of(self, frame: Frame) -> str:
        own, named = self._conversation_id, frame.conversation_id
        if own is not None and named not in (None, own):
            raise InvalidInput({"conversation_id": "is another conversation than the one that this WebSocket is of"})
        found = own or named
        if found is None:
            raise InvalidInput({"conversation_id": "is needed here, where the events of several conversations go"})
        return found


class _Unreadable(Exception):
    """A frame that cannot be carried out, with what it wants its answer to be known by as far as that can be told."""

    def __init__(self, rid: str | int | None, error: Exception) -> None:
        self.rid = rid
        self.error = error


def _frame_text(message: Message) -> bytes:
    """The text of a frame in UTF-8. Raises ``StreamEnded`` for what no client should go on sending."""
    text = message.get("text")
    if text is None:
        raise StreamEnded("Send text frames with JSON in them, no binary ones.", "stream:error:binary")
    # Halves of surrogate pairs are for the parser to refuse.
    frame: bytes = text.encode("utf-8", "surrogatepass")
    if len(frame) > MAX_FRAME:
        raise StreamEnded(f"A frame may have {MAX_FRAME} bytes.", "http:error:payload-too-large")
    return frame


def events(call: Call, permit: Permit) -> Socket[Published]:
    """The WebSocket of a conversation's events."""
    conversation_id = call.params["conversation_id"]

    def listen() -> tuple[Inbox[Published], Line[Published]]:
        subscription = call.acting.subscribe(conversation_id, after=position(call.query, call.header(b"last-event-id")))
        return subscription, line(call.links.event(conversation_id, ""))

    return Socket(call, permit, listen, conversation_id)


@lru_cache(LINES)
def line(prefix: str) -> SocketLine[Published]:
    """How the events of a conversation are put, with hrefs that begin with ``prefix``."""
    kind = f"web socket {prefix}"

    def put(event: Event) -> dict[str, Any]:
        return {"type": "websocket.send", "text": located(event.data, prefix)}

    return SocketLine(lambda item: item.frame(kind, put).copy())


class _Bucket:
    """How many more frames a client may send now."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(per_second * BURST, 1.0)
        self._left = self._most
        self._at = time.monotonic()

    def take(self) -> None:
        """One of them. Raises ``StreamEnded`` when there is none."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * self._per_second, self._most) - 1
        self._at = now
        if self._left < 0:
            raise StreamEnded(f"You send more than {self._per_second:g} frames a second.", "stream:error:flood")


def check_origin(scope: Scope, own: Iterable[str], allowed: frozenset[str]) -> None:
    """Whether the page that opens a WebSocket may, for browsers send cookies along whatever page it is. Raises 403.

    A client that is no browser sends no ``Origin``. Pages at the host's ``own`` URLs may, and those that it allows.
    """
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value.decode("latin-1")
            if origin not in allowed and _host(origin) not in map(_host, own):
                raise DoorError("stream:error:origin", "Pages of this origin may open no WebSocket here: see allowed_origins.")


def _host(url: str) -> str:
    try:
        return urlsplit(url.lower()).netloc
    except ValueError:
        return url


async def refuse(answer: Answer, scope: Scope, send: Send) -> None:
    """Answer the handshake with an error: as HTTP if the server can, otherwise with its own 403; a client that has gone misses it."""

    async def send_as_http(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    with suppress(OSError):
        if "websocket.http.response" in scope.get("extensions", {}):
            await answer.send(send_as_http)
        else:
            await send({"type": "websocket.close", "code": POLICY, "reason": ""})
