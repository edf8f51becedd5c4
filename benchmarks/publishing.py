"""Publishing inside the server, when the generator of load asks for it; and the yardstick, which sends its bytes without a kit."""

from __future__ import annotations

import asyncio
import time
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
from conversation_kit.domain.times import now

Send: TypeAlias = Callable[[Any], Awaitable[None]]


def publisher(publish: Callable[[], Awaitable[None]]) -> Starlette:
    """A host at whose ``/publish`` one event after the other is published, for so many ``seconds`` or once.

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

    return Starlette(routes=[Route("/publish", post, methods=["POST"])])


class DirectApp:
    """The least that a fan-out can do: whoever publishes awaits the ``send`` of each connection with a message that was made before.

    All streams get all events, the same one again and again, in the bytes that the kit would send. No token is looked at.
    """

    host: Starlette
    """Answers everything that is no stream."""

    def __init__(self) -> None:
        conversation = f"CON-{uuid4()}"
        event = Event.compose(APPLICATION, conversation, 1000, type="text", body={"text": TEXT}, timestamp=now(), sender=f"MEM-{uuid4()}")
        data = located(event.data, f"http://127.0.0.1{PREFIX}/conversations/{conversation}/events/")
        record = f"id: {event.id}\ndata: {data}\n\n".encode()
        self._piece = {"type": "http.response.body", "body": record, "more_body": True}
        self._frame = {"type": "websocket.send", "text": data}
        self._pieces: dict[Send, None] = {}
        self._frames: dict[Send, None] = {}

    async def publish(self) -> None:
        """Send the event to all."""
        for send in self._pieces:
            await send(self._piece)
        for send in self._frames:
            await send(self._frame)

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """A stream for each WebSocket and each GET."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await self._stay(self._frames, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]})
            await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
            await self._stay(self._pieces, receive, send)
        else:
            await self.host(scope, receive, send)

    async def _stay(self, sends: dict[Send, None], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        sends[send] = None
        try:
            while not (await receive())["type"].endswith(".disconnect"):
                pass
        finally:
            del sends[send]
