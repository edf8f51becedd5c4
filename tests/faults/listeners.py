"""Clients of live streams over real connections, which come again after whatever ends a stream, and go on after what they got last."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import anyio
import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.processes import DEADLINE
from tests.support.world import APP, token

Transport = Literal["sse", "ws"]
Log = Sequence[tuple[int, str]]
"""The ids and the texts of a conversation's events; of those that have no text, the type."""

AGAIN_SECONDS = 0.05
TOO_SLOW = "stream:error:too-slow"


@dataclass(eq=False)
class Listener:
    """Who follows the stream at ``path`` as ``who``, an admin if that is ``None``.

    ``place`` tells where the server is, and waits for it while there is none. ``got`` is what has arrived, by conversation, which its own
    stream does not name. ``arrived`` is called with each event.
    """

    path: str
    transport: Transport
    who: str | None
    place: Callable[[], Awaitable[str]]
    arrived: Callable[[dict[str, Any]], None] = lambda event: None
    got: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    is_open: bool = False
    streams: int = 0
    """How many there were, one after the other."""
    slow: int = 0
    """How many of them the server ended because they did not keep up."""
    _after: str = "0"
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _news: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_feed(self) -> bool:
        """Whether it is the feed of a user."""
        return self.path.startswith("/users/")

    async def run(self) -> None:
        """Listen for ever."""
        async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=DEADLINE) as client:
            while True:
                url = f"{await self.place()}/beta{self.path}"
                with anyio.CancelScope() as self._scope:
                    await (self._read(client, url) if self.transport == "sse" else self._receive(url))
                self.is_open = False
                if not self._scope.cancelled_caught:
                    await anyio.sleep(AGAIN_SECONDS)

    def cut(self) -> None:
        """Close the connection in the midst of whatever goes on."""
        self.is_open = False
        self._scope.cancel()

    async def until(self, last: Mapping[str, int]) -> None:
        """Return when the last events of conversations are there."""
        while any(not self.got[name] or self.got[name][-1][0] < id for name, id in last.items()):
            await self._news.wait()

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(APP, self.who) if self.who else token(APP)}"}

    async def _read(self, client: httpx2.AsyncClient, url: str) -> None:
        headers = {**self._headers, "Accept": "text/event-stream", "Last-Event-ID": self._after}
        try:
            async with client.stream("GET", url, headers=headers) as answer:
                if answer.status_code == 503:
                    return
                assert answer.status_code == 200, (await answer.aread()).decode()
                self._opened()
                async for record in _records(answer.aiter_lines()):
                    self._take(record.get("id"), json.loads(record.get("data", "{}")))
        except httpx2.TransportError:
            pass  # the connection has gone, or it could not be made

    async def _receive(self, url: str) -> None:
        try:
            socket = await connect(
                f"{url.replace('http', 'ws', 1)}?after={self._after}",
                additional_headers=self._headers,
                compression=None,
                max_size=None,
                open_timeout=DEADLINE,
                proxy=None,
            )
        except (OSError, InvalidHandshake) as error:
            refusal = getattr(error, "response", None)
            assert refusal is None or refusal.status_code == 503, refusal
            return
        try:
            self._opened()
            while True:
                frame = json.loads(await socket.recv())
                self._take(frame.pop("cursor", None if self.is_feed else frame.get("id")), frame)
        except ConnectionClosed:
            pass
        finally:
            socket.transport.abort()

    def _opened(self) -> None:
        self.is_open = True
        self.streams += 1

    def _take(self, after: str | None, event: dict[str, Any]) -> None:
        if "code" in event:
            assert event["code"] == TOO_SLOW, event
            self.slow += 1
        self._after = after or self._after
        if "type" not in event:
            return
        assert event["type"] != "conversation:removed", event
        self.got[event.get("conversation_id", "")].append((int(event["id"]), event["body"].get("text", event["type"])))
        self.arrived(event)
        self._news.set()
        self._news = anyio.Event()


async def _records(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    """The records of an event stream; what it breaks off in is none."""
    record: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line:
            record[name] = value
            continue
        yield record
        record = {}


@dataclass(frozen=True)
class Faults:
    """How what arrived differs from a log."""

    missed: int
    doubled: int
    out_of_order: int
    others: int
    """Events that the log does not have."""

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.missed + other.missed,
            self.doubled + other.doubled,
            self.out_of_order + other.out_of_order,
            self.others + other.others,
        )

    @classmethod
    def between(cls, got: Log, log: Log) -> Faults:
        """Compare what one listener got with the log from where they began."""
        here, there = Counter(got), Counter(log)
        ids = [id for id, _ in got]
        return cls(
            missed=(there - here).total(),
            doubled=sum(count - 1 for count in here.values()),
            out_of_order=sum(later < earlier for earlier, later in pairwise(ids)),
            others=len(here.keys() - there.keys()),
        )


NONE = Faults(0, 0, 0, 0)
