"""What live delivery promises, at size: cuts and kills, clients that stop reading, streams that come and go.

``make soak`` makes it large; ``CONVERSATION_KIT_SOAK_SEED`` repeats a run, whose seed is in its output.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import anyio
import anyio.to_thread
import pytest

from tests.faults.listeners import NONE, TOO_SLOW, Listener, Transport
from tests.faults.peers import Peer
from tests.faults.soaking import HEADERS, House, Soak
from tests.faults.writers import writer
from tests.integration.hosts.servers import Running, running
from tests.integration.hosts.watched import resident
from tests.support import brokers, databases
from tests.support.processes import DEADLINE, poll, serve
from tests.support.world import APP, keys

SEED = int(os.environ.get("CONVERSATION_KIT_SOAK_SEED") or random.randrange(2**32))
EVENTS = int(os.environ.get("CONVERSATION_KIT_SOAK_EVENTS", "400"))
CUTS = int(os.environ.get("CONVERSATION_KIT_SOAK_CUTS", "40"))
KILLS = int(os.environ.get("CONVERSATION_KIT_SOAK_KILLS", "1"))
STOPPED = int(os.environ.get("CONVERSATION_KIT_SOAK_STOPPED", "50"))
STOPPED_SECONDS = float(os.environ.get("CONVERSATION_KIT_SOAK_STOPPED_SECONDS", "3"))
STREAMS = int(os.environ.get("CONVERSATION_KIT_SOAK_STREAMS", "200"))

WRITTEN = 100_000
"""Bytes a second that are written while some do not read."""

MAX_COST = 512 * 1024
"""Bytes of the server's memory that one of them may take."""

COMERS = 16
"""Clients that open and close streams at once."""

TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    """Of the test's own clients; what is tested runs in other processes."""
    return "asyncio"


@pytest.mark.parametrize("broker", ["none", *brokers.KINDS])
async def test_cuts_and_kills_lose_nothing_and_double_nothing(broker: str, tmp_path: Path) -> None:
    print(f"CONVERSATION_KIT_SOAK_SEED={SEED}")
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    with databases.fresh("postgresql", tmp_path) as url:
        arguments = ["--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", url]
        if broker != "none":
            arguments += ["--broker", brokers.url_of(broker)]
        soak = Soak(House(lambda: serve(tmp_path, *arguments, workers=2, headers=HEADERS)), EVENTS, CUTS, KILLS, SEED)
        began = time.monotonic()
        faults = await soak.run()
    got = sum(len(log) for listener in soak.listeners for log in listener.got.values())
    print(
        f"{broker}: {soak.acknowledged} acknowledged, {soak.cut} cuts, {soak.house.lives - 1} kills, {len(soak.listeners)} listeners "
        f"with {sum(listener.streams for listener in soak.listeners)} streams got {got} events, "
        f"{sum(listener.slow for listener in soak.listeners)} of the streams ended as too slow: {faults}, {time.monotonic() - began:.0f} s"
    )
    assert faults == NONE
    assert (soak.cut, soak.house.lives) == (CUTS, KILLS + 1)


@dataclass
class Watched:
    """A server that tells what is in it, and a conversation there with ``ana`` in it."""

    running: Running
    conversation: str
    paths: tuple[str, str]
    """The conversation's events, and those of all of ana's conversations."""

    def look(self) -> dict[str, Any]:
        """What there is in the server."""
        seen: dict[str, Any] = self.running.ask("GET", "/watch", None).raise_for_status().json()
        return seen

    async def when(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What there is in the server, as soon as something holds of it."""
        last: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            nonlocal last
            last = self.look()
            return last if holds(last) else None

        try:
            return await anyio.to_thread.run_sync(poll, look)
        except AssertionError:
            raise AssertionError(f"It stays like this: {last}") from None

    async def place(self) -> str:
        return self.running.url

    def peer(self, number: int, after: int | None = None, *, small: bool = False) -> Peer:
        """A client of one of the four kinds of streams, in turn; ``after`` is for those of the conversation."""
        path, transport = self.paths[number // 2 % 2], TRANSPORTS[number % 2]
        query = "" if after is None or path != self.paths[0] else f"?after={after}"
        return Peer(self.running.port, path + query, transport, small=small)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc, which tells of the server's memory and files")
    with running("watched", "uvicorn", tmp_path, "--no-access-log", "--http", "conversation_kit.cli.connections:Connection") as served:
        served.wait()
        ana = served.ask("POST", "/beta/users", json={"name": "ana"}).json()["id"]
        room = served.ask("POST", "/beta/conversations").json()["id"]
        served.ask("POST", f"/beta/conversations/{room}/members", json={"user_name": "ana", "action": "join"})
        yield Watched(served, room, (f"/conversations/{room}/events", f"/users/{ana}/events"))
        assert "Traceback" not in served.output(), served.output()


async def write_steadily(watched: Watched, seconds: float) -> int:
    """Write ``WRITTEN`` bytes a second, in texts of 1,000 that begin with the time; how many events that were."""
    pause = 1000 / WRITTEN
    count = round(seconds / pause)
    async with writer(watched.running.url) as one:
        began = time.monotonic()
        for number in range(count):
            await anyio.sleep(max(0.0, began + number * pause - time.monotonic()))
            await one.say(watched.conversation, f"{time.monotonic()} ".ljust(1000, "."))
    return count


async def test_clients_that_stop_reading_are_ended_and_keep_nobody_waiting(watched: Watched) -> None:
    delays: list[float] = []

    def arrived(event: dict[str, Any]) -> None:
        if event["type"] == "text":
            delays.append(time.monotonic() - float(event["body"]["text"].partition(" ")[0]))

    listeners = [
        Listener(path, transport, "ana" if path.startswith("/users/") else None, watched.place, arrived)
        for path in watched.paths
        for transport in TRANSPORTS
        for _ in range(2)
    ]
    highest = 0

    async def weigh(pid: int) -> None:
        nonlocal highest
        while True:
            highest = max(highest, resident(pid))
            await anyio.sleep(0.05)

    def stop_reading() -> list[Peer]:
        peers = [stack.enter_context(watched.peer(number, small=True)) for number in range(STOPPED)]
        for peer in peers:
            peer.opened()
        return peers

    with ExitStack() as stack:
        async with anyio.create_task_group() as group:
            for listener in listeners:
                group.start_soon(listener.run)
            peers = await anyio.to_thread.run_sync(stop_reading)
            before = await watched.when(lambda seen: seen["streams"] == STOPPED + len(listeners))
            weight = resident(before["pid"])
            group.start_soon(weigh, before["pid"])
            began = time.monotonic()
            events = await write_steadily(watched, STOPPED_SECONDS)
            rate = events / (time.monotonic() - began)
            with anyio.fail_after(DEADLINE):
                for listener in listeners:
                    await listener.until(dict.fromkeys(listener.got, events + 1))
            await watched.when(lambda seen: seen["streams"] == len(listeners))
            group.cancel_scope.cancel()
        ends = [peer.rest() for peer in peers]
    await watched.when(lambda seen: not seen["streams"] and seen["files"] <= before["files"] - STOPPED)
    told = sum(TOO_SLOW.encode() in end for end in ends)
    cost = (highest - weight) / STOPPED
    delays.sort()
    print(
        f"{STOPPED} of {STOPPED + len(listeners)} do not read, {rate:.0f} kB/s for {STOPPED_SECONDS:.0f} s: {cost / 1024:.0f} kB of "
        f"memory for each; all ended, {told} of them with {TOO_SLOW}, {sum(peer.was_cut for peer in peers)} of their connections cut "
        f"before they read on; the others got {len(delays)} events after {quantile(delays, 0.5) * 1000:.1f} ms (p50), "
        f"{quantile(delays, 0.99) * 1000:.1f} ms (p99), {delays[-1] * 1000:.0f} ms (max)"
    )
    log = list(range(1, events + 2))
    assert [[id for id, _ in got] for listener in listeners for got in listener.got.values()] == [log] * len(listeners)
    assert {listener.streams for listener in listeners} == {1}
    assert cost < MAX_COST


def quantile(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]


def lasting(seen: dict[str, Any]) -> dict[str, Any]:
    """What there is in the server, without what it remembers of bases and of paths, of which there are few."""
    remembered = ("Links", "Target")
    assert sum(seen["objects"].get(name, 0) for name in remembered) < 16
    return {**seen, "objects": {name: count for name, count in seen["objects"].items() if name not in remembered}}


async def test_streams_that_come_and_go_leave_nothing(watched: Watched) -> None:
    print(f"CONVERSATION_KIT_SOAK_SEED={SEED}")
    chance = random.Random(SEED)
    kinds: Counter[str] = Counter()
    still_to_do = iter(range(STREAMS))
    last = 0

    def come_and_go() -> None:
        for number in still_to_do:
            with watched.peer(number, chance.choice((None, max(last - 50, 0)))) as peer:
                if waits := chance.random() < 0.8:
                    peer.opened()
                is_polite = chance.random() < 0.5
                kinds[f"{'opened' if waits else 'asked for'} and {'closed' if is_polite else 'dropped'}"] += 1
                (peer.close if is_polite else peer.vanish)()

    async def keep_writing() -> None:
        nonlocal last
        async with writer(watched.running.url) as one:
            while True:
                last = await one.say(watched.conversation, "hello")
                await anyio.sleep(0.01)

    for number in range(8):
        with watched.peer(number) as peer:
            peer.opened()
    before = await watched.when(lambda seen: not seen["streams"])
    async with anyio.create_task_group() as writing:
        writing.start_soon(keep_writing)
        async with anyio.create_task_group() as group:
            for _ in range(COMERS):
                group.start_soon(anyio.to_thread.run_sync, come_and_go)
        writing.cancel_scope.cancel()
    after = await watched.when(lambda seen: lasting(seen) == lasting(before))
    print(f"{STREAMS} streams {dict(kinds)}: left {after}")
