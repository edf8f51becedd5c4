"""Live events over a WebSocket, over which a client may also send something."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from pydantic_core import to_json

from conversation_kit.domain.errors import StreamEnded
from conversation_kit.domain.events import Event, located
from conversation_kit.domain.values.epochs import cursor_text
from conversation_kit.http.live.direct_send import DirectSender
from conversation_kit.http.live.streams import WIRE_FORMATS, Streams, StreamWriter, WireFormat, pump
from conversation_kit.http.serving.mounting import Message, Scope, Send
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import Response
from conversation_kit.live.buffer import Buffer, Item
from conversation_kit.live.topics import Published

MAX_FRAME = 69_632
"""Bytes of a client's frame: those of the largest body, and room for what is around it."""

MAX_MESSAGE = 70_000
"""Bytes of a message that a server should let through: a little more than ``MAX_FRAME``, so that the kit can say why it closes."""

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

T = TypeVar("T", bound=Item)

logger = logging.getLogger("conversation_kit")


class WebSocketFormat(Generic[T]):
    """One text frame for each event; an empty object is a heartbeat, and whatever has ``rid`` is no event.

    ``message`` makes the frame that one event is, ``first`` tells what comes before all of them.
    """

    def __init__(self, message: Callable[[T], Message], first: Callable[[], Iterable[Message]] = tuple) -> None:
        self.one = message
        """See ``WireFormat.one``."""
        self._first = first

    def hello(self) -> Iterable[Message]:
        """See ``WireFormat.hello``."""
        yield {"type": "websocket.accept"}
        yield from self._first()

    def many(self, items: Sequence[T]) -> Iterable[Message]:
        """See ``WireFormat.many``."""
        return map(self.one, items)

    def heartbeat(self) -> Message:
        """See ``WireFormat.heartbeat``. A server's own pings are nothing that a page can see."""
        return text_frame({})

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """See ``WireFormat.goodbye``: the reason as a frame, and as the close code with the error's code."""
        yield text_frame({"rid": None, "code": end.code, "description": end.description})
        yield {"type": "websocket.close", "code": CLOSE_CODES.get(end.code, POLICY), "reason": end.code}


def text_frame(value: Any) -> Message:
    """Return a frame with this value as JSON."""
    return {"type": "websocket.send", "text": to_json(value).decode()}


class Socket(Generic[T]):
    """One WebSocket: what arrives in a buffer goes out, and frames come in.

    ``listen`` makes the buffer, and may raise what is wrong with the request. ``answer`` carries out a frame, and returns what the client
    gets for it. ``operation`` is what a refusal of the WebSocket is told as.
    """

    __slots__ = ("_answer", "_listen_to", "_operation", "_request", "_streams")

    def __init__(
        self,
        request: Request[Any],
        operation: str,
        listen: Callable[[], tuple[Buffer[T], Callable[[], WireFormat[T]]]],
        answer: Callable[[bytes], Awaitable[dict[str, Any]]],
    ) -> None:
        self._request = request
        self._streams = Streams.of(request)
        self._operation = operation
        self._listen_to = listen
        self._answer = answer

    async def serve(self, send: Send) -> None:
        """Accept it and serve it until either side closes; refuse it if it may not be."""
        request = self._request
        started = False
        try:
            buffer, wire = self._listen_to()
            with self._streams.opened(request.kit.principal):
                async with buffer:
                    started = True
                    await self._run(buffer, StreamWriter(send, buffer.wake, wire()))
        except Exception as error:
            if started:
                raise
            request.mount.refusals.note(error, self._operation, request.kit.principal)
            await refuse(request.mount.answer_error(error, request.path), request.scope, send)

    async def _run(self, buffer: Buffer[T], writer: StreamWriter[T]) -> None:
        streams, principal = self._streams, self._request.kit.principal
        deadline = streams.deadline(principal, self._request.kit.context.clock())
        buffer.group.start_soon(self._listen, buffer, writer)
        await pump(buffer, writer, deadline, streams.limits.heartbeat_seconds)

    async def _listen(self, buffer: Buffer[T], sender: DirectSender) -> None:
        """Carry out what the client sends, one frame after the other, until it goes or has to."""
        bucket = _Bucket(self._streams.limits.frames_per_second)
        try:
            while True:
                message = await self._request.receive()
                if message["type"] == "websocket.disconnect":
                    break
                bucket.take()
                await sender.write(text_frame(await self._answer(_frame_text(message))))
                await self._request.mount.refusals.tell()
        except StreamEnded as end:
            buffer.end(end)
            return
        except OSError:
            pass  # it has gone
        buffer.group.cancel_scope.cancel()


def _frame_text(message: Message) -> bytes:
    """Return the text of a frame in UTF-8. Raises ``StreamEnded`` for what no client should go on sending."""
    text = message.get("text")
    if text is None:
        _check_server(len(message.get("bytes") or b""))
        raise StreamEnded("Send text frames with JSON in them, no binary ones.", "stream:error:binary")
    # No text has fewer bytes than characters. Halves of surrogate pairs are for the parser to refuse.
    frame: bytes | None = text.encode("utf-8", "surrogatepass") if len(text) <= MAX_FRAME else None
    if frame is None or len(frame) > MAX_FRAME:
        _check_server(len(text if frame is None else frame))
        raise StreamEnded(f"A frame may have {MAX_FRAME} bytes.", "http:error:payload-too-large")
    return frame


def _check_server(size: int) -> None:
    if size > MAX_MESSAGE:
        _warn_of_server()


@lru_cache(1)
def _warn_of_server() -> None:
    """Say it once: whoever sends such a message can send many."""
    logger.warning(
        "The server lets WebSocket messages of more than %d bytes through, so that a few clients can fill its memory: limit them "
        "(uvicorn --ws-max-size %d --ws-per-message-deflate false; for other servers see docs/deployment.md).",
        MAX_MESSAGE,
        MAX_MESSAGE,
    )


@lru_cache(WIRE_FORMATS)
def message(prefix: str, epoch: str) -> Callable[[Published], dict[str, Any]]:
    """Return the function that writes an event of a conversation, with hrefs that begin with ``prefix`` and cursors of this epoch."""
    kind = f"web socket {epoch} {prefix}"

    def put(event: Event) -> dict[str, Any]:
        text = located(event.data, prefix)
        return {"type": "websocket.send", "text": text if event.id is None else with_cursor(text, cursor_text(event.id, epoch))}

    return lambda item: item.frame(kind, put).copy()


def with_cursor(text: str, cursor: str) -> str:
    """Return an event's JSON with the cursor that goes on after it."""
    return f'{text[:-1]},"cursor":"{cursor}"}}'


class _Bucket:
    """A count of the frames that a client may still send now."""

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


async def refuse(response: Response, scope: Scope, send: Send) -> None:
    """Answer the handshake with an error: as HTTP if the server can, otherwise with its own 403; a client that has gone misses it."""

    async def send_as_http(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    with suppress(OSError):
        if "websocket.http.response" in scope.get("extensions", {}):
            await response.send(send_as_http)
        else:
            await send({"type": "websocket.close", "code": POLICY, "reason": ""})
