"""Clients of live streams in this process: ASGI without a server, so that a test can stop reading whenever it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.routing import Mount

from conversation_kit.http.serving.mounting import ASGIApp, Message
from tests.support.world import World

SECONDS = 30.0


@dataclass
class Connection:
    """One connection to an application. It takes no message while ``reads`` is not set; ``refuses`` is raised for each instead."""

    app: ASGIApp
    scope: dict[str, Any]
    sent: list[Message] = field(default_factory=list)
    done: bool = False
    refuses: Exception | None = None

    def __post_init__(self) -> None:
        self.reads = anyio.Event()
        self.reads.set()
        self._news = anyio.Event()
        self._give, self._take = anyio.create_memory_object_stream[Message](100)

    async def run(self) -> None:
        try:
            await self.app(self.scope, self._take.receive, self._send)
        finally:
            self.done = True
            self._tell()
            self._take.close()

    async def _send(self, message: Message) -> None:
        if not self.reads.is_set():
            await self.reads.wait()
        if self.refuses is not None:
            raise self.refuses
        self.sent.append(message)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def put(self, message: Message) -> None:
        with suppress(anyio.BrokenResourceError):  # the application does not listen any more
            await self._give.send(message)

    def close(self) -> None:
        self._give.close()

    async def until(self, holds: Callable[[], object]) -> None:
        """Return when something holds, which is looked at whenever there is news."""
        with anyio.fail_after(SECONDS):
            while not holds():
                await self._news.wait()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def problem(self) -> Any:
        return json.loads(self.body)

    @property
    def records(self) -> list[dict[str, str]]:
        """The records of an event stream, as a browser would tell them apart; comments are none."""
        records = []
        for block in self.body.decode().split("\n\n")[:-1]:
            lines = [line.partition(":") for line in block.split("\n")]
            record = {name: value.removeprefix(" ") for name, _, value in lines if name}
            if "data" in record:
                records.append(record)
        return records

    @property
    def events(self) -> list[dict[str, Any]]:
        """The conversation's events that have arrived."""
        return [json.loads(record["data"]) for record in self.records if "event" not in record]

    @property
    def end(self) -> Any:
        """What a last record of the type ``end`` says."""
        ends = [json.loads(record["data"]) for record in self.records if record.get("event") == "end"]
        return ends[0] if ends else None

    @property
    def frames(self) -> list[Any]:
        """The text frames of a WebSocket."""
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]

    @property
    def close_frame(self) -> tuple[int, str] | None:
        for message in self.sent:
            if message["type"] == "websocket.close":
                return message["code"], message.get("reason", "")
        return None

    async def ends(self) -> None:
        """Return when the application is done with it."""
        await self.until(lambda: self.done)

    async def say(self, frame: Any) -> None:
        """Send a frame; what is no text is written as JSON."""
        await self.put({"type": "websocket.receive", "text": frame if isinstance(frame, str) else json.dumps(frame)})


def mounted(world: World) -> ASGIApp:
    return Starlette(routes=[Mount("/beta", app=world.kit)])


@asynccontextmanager
async def stream(
    world: World, who: str | None = "ana", query: str = "", *, path: str = "", app: ASGIApp | None = None, **headers: str
) -> AsyncIterator[Connection]:
    """An event stream of the world's conversation, open while the block runs."""
    connection = Connection(app or mounted(world), _scope(world, "http", who, path, query, {"accept": "text/event-stream", **headers}))
    await connection.put({"type": "http.request", "body": b"", "more_body": False})
    async with _running(connection, {"type": "http.disconnect"}):
        yield connection


@asynccontextmanager
async def socket(
    world: World, who: str | None = "ana", query: str = "", *, path: str = "", app: ASGIApp | None = None, **headers: str
) -> AsyncIterator[Connection]:
    """A WebSocket of the world's conversation, open while the block runs."""
    connection = Connection(app or mounted(world), _scope(world, "websocket", who, path, query, headers))
    await connection.put({"type": "websocket.connect"})
    async with _running(connection, {"type": "websocket.disconnect", "code": 1001}):
        yield connection


@asynccontextmanager
async def _running(connection: Connection, goodbye: Message) -> AsyncIterator[None]:
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(connection.run)
            await connection.until(lambda: connection.sent or connection.done)
            yield
            if not connection.done:
                await connection.put(goodbye)
                await connection.until(lambda: connection.done)
    finally:
        connection.close()


def _scope(world: World, kind: str, who: str | None, path: str, query: str, headers: dict[str, str]) -> dict[str, Any]:
    given = {"host": "host.test", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if who is not None:
        given.setdefault("authorization", f"Bearer {world.token(who)}")
    path = "/beta" + (path or f"{world.path}/events")
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "server": ("host.test", 80),
        "client": ("client.test", 1),
        "extensions": {"websocket.http.response": {}},
        **({"method": "GET"} if kind == "http" else {"subprotocols": []}),
    }


def nobody_is_left(world: World) -> bool:
    """Whether no subscription and no stream of the kit is left."""
    return not world.kit.stats().event_loops and not world.kit.stats().streams
