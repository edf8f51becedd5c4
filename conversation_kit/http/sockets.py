"""Live events over a WebSocket, over which a client may also send events: the same service, hooks and rights as POST."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final
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
from conversation_kit.http.streams import LINES, Outlet, position, pump
from conversation_kit.live.subscriptions import Subscription
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

Permit = Callable[[Mapping[str, Any]], None]
"""Raises when the caller's access list does not let these top-level fields be posted."""


class Frame(EventBody):
    """What a client sends: an event, and whatever it wants to know the answer by."""

    tid: Annotated[str, Field(max_length=255)] | int | None = None


class SocketLine:
    """One text frame for each event; an empty object is a heartbeat, and whatever has ``rid`` is no event."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._kind = f"web socket {prefix}"

    def hello(self) -> Iterable[Message]:
        """See ``Line.hello``."""
        yield {"type": "websocket.accept"}

    def one(self, item: Published) -> Message:
        """See ``Line.one``."""
        return item.frame(self._kind, self._message).copy()

    def many(self, items: Sequence[Published]) -> Iterable[Message]:
        """See ``Line.many``."""
        return map(self.one, items)

    def heartbeat(self) -> Message:
        """See ``Line.heartbeat``. A server's own pings are nothing that a page can see."""
        return _text({})

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """See ``Line.goodbye``: the reason as a frame, and as the close code with the error's code."""
        yield _text({"rid": None, "code": end.code, "description": end.description})
        yield {"type": "websocket.close", "code": CLOSE_CODES.get(end.code, POLICY), "reason": end.code}

    def _message(self, event: Event) -> dict[str, Any]:
        return {"type": "websocket.send", "text": located(event.data, self._prefix)}


_line = lru_cache(LINES)(SocketLine)


def _text(value: Any) -> Message:
    return {"type": "websocket.send", "text": to_json(value).decode()}


@dataclass(slots=True)
class Socket:
    """One WebSocket on a conversation's events."""

    call: Call
    permit: Permit

    async def serve(self, send: Send) -> None:
        """Accept it and serve it until either side closes; refuse it if it may not be."""
        call = self.call
        conversation_id = call.params["conversation_id"]
        started = False
        try:
            subscription = call.acting.subscribe(conversation_id, after=position(call.query, call.header(b"last-event-id")))
            with call.streams.opened(call.acting.principal):
                async with subscription:
                    started = True
                    line = _line(call.links.event(conversation_id, ""))
                    await self._run(subscription, Outlet(send, subscription.wake, line))
        except Exception as error:
            if started:
                raise
            await refuse(answer_error(error, call.path), call.scope, send)

    async def _run(self, subscription: Subscription, outlet: Outlet) -> None:
        streams, principal = self.call.streams, self.call.acting.principal
        deadline = streams.deadline(principal, self.call.acting.core.clock())
        subscription.group.start_soon(self._listen, subscription, outlet)
        await pump(subscription, outlet, deadline, streams.limits.heartbeat_seconds)

    async def _listen(self, subscription: Subscription, pipe: Pipe) -> None:
        """Carry out what the client sends, one frame after the other, until it goes or has to."""
        bucket = _Bucket(self.call.streams.limits.frames_per_second)
        try:
            while True:
                message = await self.call.receive()
                if message["type"] == "websocket.disconnect":
                    break
                bucket.take()
                await pipe.write(_text(await self._answer(_frame_text(message))))
        except StreamEnded as end:
            subscription.end(end)
            return
        except OSError:
            pass  # it has gone
        subscription.group.cancel_scope.cancel()

    async def _answer(self, text: bytes) -> dict[str, Any]:
        rid: str | int | None = None
        try:
            rid, frame = _parse(text, self.permit)
            event = await self.call.acting.events.create(
                self.call.params["conversation_id"], frame.type, frame.body, sender=frame.sender, to=frame.to
            )
        except Exception as error:
            if isinstance(error, _Unreadable):
                rid, error = error.rid, error.error
            answer: dict[str, Any] = from_json(answer_error(error, self.call.path).body)
            return {"rid": rid, **answer}
        if event.id is None:
            return {"rid": rid, "timestamp": event.fields["timestamp"]}
        href = self.call.links.event(event.conversation_id, event.id)
        return {"rid": rid, "id": str(event.id), "timestamp": event.fields["timestamp"], "href": href}


class _Unreadable(Exception):
    """A frame that cannot be carried out, with what it wants its answer to be known by as far as that can be told."""

    def __init__(self, rid: str | int | None, error: Exception) -> None:
        self.rid = rid
        self.error = error


def _parse(text: bytes, permit: Permit) -> tuple[str | int | None, Frame]:
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
        permit(fields)
    except Exception as error:
        raise _Unreadable(rid, error) from error
    return rid, frame


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
    """Answer the handshake with an error: as HTTP if the server can, otherwise with its own 403."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY, "reason": ""})
        return

    async def send_as_http(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await answer.send(send_as_http)
