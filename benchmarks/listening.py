"""Subscribers by the thousand: connections that count the events that come, and look at nothing else, so that they cost next to nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from benchmarks.wire import MARK

AT_ONCE = 100
"""Connections that are opened together."""

SECONDS = 60.0
"""Seconds that a crowd waits at most for the events that it expects."""


class Crowd:
    """Listeners that are counted together.

    ``arrived`` is how many events have come to all of them, ``last`` when the latest did, by ``time.monotonic``. While ``instants`` is a
    list, the instant of each arrival is appended to it.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.arrived = 0
        self.last = 0.0
        self.instants: list[float] | None = None
        self.problem = ""
        """The first problem, if there was any."""
        self.buffer = bytearray(262_144)
        self._awaited: tuple[Callable[[], bool], asyncio.Future[None]] | None = None

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds of the crowd. Raises ``RuntimeError`` when something is wrong, or it takes too long."""
        if holds():
            return
        awaited = asyncio.get_running_loop().create_future()
        self._awaited = holds, awaited
        try:
            async with asyncio.timeout(SECONDS):
                await awaited
        except TimeoutError:
            opened = sum(listener.is_open for listener in self.listeners)
            raise RuntimeError(f"{opened} of {len(self.listeners)} streams are open, and {self.arrived} events came: not all.") from None
        finally:
            self._awaited = None

    async def until_arrived(self, events: int) -> None:
        """Return when so many events in all have come. Raises as ``until`` does, and when too many have."""
        await self.until(lambda: self.arrived >= events)
        if self.arrived > events:
            raise RuntimeError(f"{self.arrived} events came, where {events} were published.")

    def note(self) -> None:
        """Look whether the awaited condition holds, after something has changed."""
        if self._awaited is not None:
            holds, awaited = self._awaited
            if not awaited.done():
                if self.problem:
                    awaited.set_exception(RuntimeError(self.problem))
                elif holds():
                    awaited.set_result(None)

    def fail(self, problem: str) -> None:
        """Keep the first problem, and tell it to whoever waits."""
        self.problem = self.problem or problem
        self.note()


class Listener(asyncio.BufferedProtocol):
    """One stream: ``count`` is how many events came."""

    __slots__ = ("_crowd", "_request", "count", "is_open", "transport")

    def __init__(self, crowd: Crowd, request: bytes) -> None:
        self.transport: asyncio.Transport
        self.count = 0
        self.is_open = False
        self._crowd = crowd
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return the buffer to read into: one for all, since its content is counted before anything else is read."""
        return self._crowd.buffer

    def buffer_updated(self, length: int) -> None:
        """Count what came."""
        crowd = self._crowd
        if not self.is_open:
            if bytes(crowd.buffer[9:12]) not in (b"200", b"101"):
                crowd.fail(crowd.buffer[: min(length, 400)].decode(errors="replace"))
                return
            self.is_open = True
            crowd.note()
        came = crowd.buffer.count(MARK, 0, length)
        if came:
            self.count += came
            crowd.arrived += came
            crowd.last = time.monotonic()
            if crowd.instants is not None:
                crowd.instants.extend([crowd.last] * came)
            crowd.note()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail when anybody but the crowd ended the stream."""
        if not self.transport.is_closing() or error is not None:
            self._crowd.fail(f"A stream was lost after {self.count} events: {error}")

    def eof_received(self) -> None:
        """Fail, since the server has ended the stream."""
        self._crowd.fail(f"A stream ended after {self.count} events.")


@asynccontextmanager
async def listening(port: int, requests: Iterable[bytes]) -> AsyncIterator[Crowd]:
    """Give a crowd with a stream for each request, all of them open.

    Raises ``RuntimeError`` when one is refused.
    """
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    todo = list(requests)
    try:
        for first in range(0, len(todo), AT_ONCE):
            for request in todo[first : first + AT_ONCE]:
                _, listener = await loop.create_connection(partial(Listener, crowd, request), "127.0.0.1", port)
                crowd.listeners.append(listener)
            newest = crowd.listeners[first:]
            await crowd.until(lambda newest=newest: all(listener.is_open for listener in newest))  # type: ignore[misc]
        yield crowd
    finally:
        for listener in crowd.listeners:
            listener.transport.abort()


async def publish(port: int, seconds: float = 0.0) -> list[float]:
    """Let the server publish events, for so long or just one; the instants at which it did."""
    answer = await asked(port, b"POST /publish?seconds=%f HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % seconds)
    times: list[float] = json.loads(answer)
    return times


async def asked(port: int, request: bytes) -> bytes:
    """Return the body that the server answers, which closes the connection afterwards.

    Raises ``RuntimeError`` when it is no success.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if head[9:10] != b"2":
        raise RuntimeError((head + body)[:400].decode(errors="replace"))
    return body
