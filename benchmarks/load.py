"""The load: connections that are kept alive, each with one request under way, and no more work on an answer than it takes to check it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from statistics import median
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
WARM_UP = 0.2
"""Seconds at the beginning of a run that are not counted."""


@dataclass(frozen=True)
class Outcome:
    """Result of one run.

    ``accepted`` and ``wrong`` count every answer, ``rate`` and ``latency`` only those of the counted time.
    """

    rate: float
    latency: float
    accepted: int
    wrong: int
    busy: float
    """The share of its core that the load itself took: near 1 it is the load that was measured."""
    example: str
    """The beginning of the first wrong answer, if there was one."""


@dataclass
class _Run:
    status: bytes
    counted_from: float
    until: float
    left: int
    done: asyncio.Future[None]
    latencies: list[float] = field(default_factory=list)
    accepted: int = 0
    wrong: int = 0
    example: str = ""

    def retire(self) -> None:
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: _Run, requests: Sequence[bytes]) -> None:
        self._run = run
        self._requests: Iterator[bytes] = cycle(requests)
        self._transport: asyncio.WriteTransport
        self._buffer = bytearray()
        self._expected = 0
        self._sent = 0.0
        self._retired = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._expected:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(buffer, 0, end)
            self._expected = end + 4 + (int(length[1]) if length else 0)
        if len(buffer) < self._expected:
            return
        self._answered(bytes(buffer[9:12]))

    def _answered(self, status: bytes) -> None:
        run = self._run
        if status == run.status and len(self._buffer) == self._expected:
            run.accepted += 1
        else:
            run.wrong += 1
            run.example = run.example or self._buffer[:400].decode(errors="replace")
        self._buffer.clear()
        self._expected = 0
        now = time.perf_counter()
        if run.counted_from <= now <= run.until:
            run.latencies.append(now - self._sent)
        if now < run.until:
            self.send()
        else:
            self._retire()

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self._run.retire()
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._retired:
            self._run.wrong += 1
            self._run.example = self._run.example or f"The connection was lost: {error}"
            self._retire()


def drive(port: int, clients: Sequence[Sequence[bytes]], *, status: int, seconds: float) -> Outcome:
    """Keep one connection for each of ``clients`` busy with its requests in turn; every answer should have this status.

    With no ``seconds`` they are only warmed up, and the rate is 0.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(driven(port, clients, status=status, seconds=seconds))


async def driven(port: int, clients: Sequence[Sequence[bytes]], *, status: int, seconds: float) -> Outcome:
    """Do the same as ``drive`` in an event loop in which other things go on too."""
    loop = asyncio.get_running_loop()
    run = _Run(b"%d" % status, 0.0, 0.0, len(clients), loop.create_future())
    connections: list[_Client] = []
    for requests in clients:
        _, client = await loop.create_connection(partial(_Client, run, requests), "127.0.0.1", port)
        connections.append(client)
    began, worked = time.perf_counter(), time.process_time()
    run.counted_from = began + WARM_UP
    run.until = run.counted_from + seconds
    for client in connections:
        client.send()
    await asyncio.wait_for(run.done, WARM_UP + seconds + 30)
    busy = (time.process_time() - worked) / (time.perf_counter() - began)
    latency = median(run.latencies) if run.latencies else 0.0
    return Outcome(len(run.latencies) / seconds if seconds else 0.0, latency, run.accepted, run.wrong, busy, run.example)
