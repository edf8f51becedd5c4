"""Publishing inside the server, when the generator of load asks for it; and the yardstick, which sends its bytes without a kit."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.rooms import APPLICATION, PREFIX
from benchmarks.wire import TEXT
from conversation_kit.domain.events import Event, located
from conversation_kit.domain.values.epochs import FIRST_EPOCH, cursor_text
from conversation_kit.domain.values.times import now

Send: TypeAlias = Callable[[Any], Awaitable[None]]


def publisher(publish: Callable[[], Awaitable[None]], host: Starlette) -> Starlette:
    """Return the host with a ``/publish`` at which one event after the other is published, for so many ``seconds`` or once.

    It answers with the instants of ``time.monotonic`` at which it began each of them, which other processes of the machine can compare
    with their own.
    """

    async def post(request: Request) -> Response:
        until = time.monotonic() + float(request.query_params.get("seconds", "0"))
        times = [time.monotonic()]
        await publish()
        while time.monotonic() < until:
            await asyncio.sleep(0)  # the event loop writes to the sockets when it gets its turn
            times.append(time.monotonic())
            await publish()
        return JSONResponse(times)

    host.routes.append(Route("/publish", post, methods=["POST"]))
    return host


class DirectApp:
    """The least that a fan-out can do: whoever publishes awaits the ``send`` of each connection with a message that was made before.

    All streams get the same event again and again, in the bytes that the kit would send. No token of theirs is looked at. Everything that
    is no stream is for ``host`` to answer.
    """

    host: Starlette

    def __init__(self) -> None:
        conversation, member = f"CON-{uuid4()}", f"MEM-{uuid4()}"
        event = Event.compose(APPLICATION, conversation, 1000, type="text", body={"text": TEXT}, timestamp=now(), sender=member)
        data = located(event.data, f"http://127.0.0.1{PREFIX}/conversations/{conversation}/events/")
        cursor = cursor_text(1000, FIRST_EPOCH)
        record = f"id: {cursor}\ndata: {data}\n\n".encode()
        self._piece = {"type": "http.response.body", "body": record, "more_body": True}
        self._frame = {"type": "websocket.send", "text": f'{data[:-1]},"cursor":"{cursor}"}}'}
        self._streams: defaultdict[str, dict[Send, Any]] = defaultdict(dict)

    async def publish(self) -> None:
        """Send the event to all."""
        for path in self._streams:
            await self.publish_at(path)

    async def publish_at(self, path: str) -> None:
        """Send the event to those who have asked for it at this path."""
        for send, message in self._streams[path].items():
            await send(message)

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """Open a stream for each WebSocket and each GET."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await self._stay(scope["path"], self._frame, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]})
            await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
            await self._stay(scope["path"], self._piece, receive, send)
        else:
            await self.host(scope, receive, send)

    async def _stay(self, path: str, message: Any, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        self._streams[path][send] = message
        try:
            while not (await receive())["type"].endswith(".disconnect"):
                pass
        finally:
            del self._streams[path][send]
