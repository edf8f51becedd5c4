"""``python -m benchmarks.fanout``: one publisher and many subscribers of one conversation, beside the least that this can cost."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import cores
from benchmarks.apps import Spec
from benchmarks.listening import Crowd, listening, publish
from benchmarks.load import WARM_UP
from benchmarks.report import machine, print_columns, write_records
from benchmarks.rooms import Room
from benchmarks.server import Server, running
from benchmarks.wire import Requests
from conversation_kit.auth import make_key_pair

KIT, DIRECT = "kit", "direct"
TRANSPORTS = ("sse", "ws")
LEAST = 0.70
"""The goal: the share of what sending directly delivers."""


@dataclass
class Fanout:
    """Results of one server with so many subscribers, by round."""

    server: str
    transport: str
    subscribers: int
    rates: list[float] = field(default_factory=list)
    """Events a second, each counted for each subscriber that it came to."""
    costs: list[float] = field(default_factory=list)
    """Microseconds of the server's processor time for one of them."""
    busy: list[float] = field(default_factory=list)
    """The share of its core that counting took: near 1 it is the counting that was measured."""
    arrivals: list[float] = field(default_factory=list)
    """Milliseconds from publishing to arrival, of events that were published one by one."""

    def quantile(self, share: float) -> float:
        """Return the arrival that this share of all did not come after."""
        return sorted(self.arrivals)[min(int(len(self.arrivals) * share), len(self.arrivals) - 1)]


def share(one: Fanout, other: Fanout) -> float:
    """Return the median of the rounds' ratios of rates."""
    return median(rate / against for rate, against in zip(one.rates, other.rates, strict=True))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds only, to see that everything works; the numbers mean little")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long is published each time (default: 1)")
    parser.add_argument("--subscribers", default="100,1000,5000", help="how many listen (default: 100,1000,5000)")
    parser.add_argument("--only", choices=TRANSPORTS, help="server-sent events or WebSockets")
    parser.add_argument(
        "--alone", type=int, default=30, help="events that are published one by one, for the times of arrival (default: 30)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rounds, arguments.seconds, arguments.subscribers, arguments.alone = 1, 0.2, "50", 3
    return arguments


def main() -> int:
    """Return the exit status: 1 when somebody did not get every event once."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_key, public_key = make_key_pair()
    requests = Requests(private_key)
    with ExitStack() as stack:
        specs = {KIT: Spec("kit", public_key, "memory://"), DIRECT: Spec("direct", public_key)}
        servers = {name: stack.enter_context(running(name, spec)) for name, spec in specs.items()}
        room = servers[KIT].rooms.hot
        assert servers[DIRECT].address
        cores.pin(cores.LOAD)
        sizes = [int(size) for size in arguments.subscribers.split(",")]
        chosen = [transport for transport in TRANSPORTS if arguments.only in (None, transport)]
        results: list[Fanout] = []
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                for size in sizes:
                    for transport in chosen:
                        streams = _streams(requests, room, transport, size)
                        results += runner.run(measure(servers, streams, transport, arguments.rounds, arguments.seconds, arguments.alone))
        except RuntimeError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print_fanouts(results)
    if arguments.json:
        write_records(arguments.json, results)
    return 0


def _streams(requests: Requests, room: Room, transport: str, number: int) -> list[bytes]:
    """Return the requests of the subscribers, who are the members in turn."""
    path = f"/conversations/{room.id}/events"
    each = [requests.listen(path, user, transport) for user, _ in room.members]
    return [each[index % len(each)] for index in range(number)]


async def measure(
    servers: Mapping[str, Server], streams: Sequence[bytes], transport: str, rounds: int, seconds: float, alone: int
) -> list[Fanout]:
    """Measure all servers in turn, every other round backwards, with the same subscribers throughout.

    Raises ``RuntimeError`` when not everybody gets every event once.
    """
    async with AsyncExitStack() as stack:
        pairs: list[tuple[Fanout, Crowd]] = []
        for name, server in servers.items():
            crowd = await stack.enter_async_context(listening(server.address.port, streams))
            pairs.append((Fanout(name, transport, len(streams)), crowd))
        for fanout, crowd in pairs:
            await crowd.until_arrived(len(streams) * len(await publish(servers[fanout.server].address.port, WARM_UP)))
        for number in range(rounds):
            for fanout, crowd in pairs if number % 2 == 0 else reversed(pairs):
                await _burst(fanout, crowd, servers[fanout.server], seconds)
        for fanout, crowd in pairs:
            await _alone(fanout, crowd, servers[fanout.server], alone)
        return [fanout for fanout, _ in pairs]


async def _burst(fanout: Fanout, crowd: Crowd, server: Server, seconds: float) -> None:
    """Publish as much as there can be."""
    before, used, worked, began = crowd.arrived, server.cpu_seconds(), time.process_time(), time.monotonic()
    times = await publish(server.address.port, seconds)
    delivered = len(times) * len(crowd.listeners)
    await crowd.until_arrived(before + delivered)
    fanout.rates.append(delivered / (crowd.last - times[0]))
    fanout.busy.append((time.process_time() - worked) / (time.monotonic() - began))
    fanout.costs.append(1e6 * (server.cpu_seconds() - used) / delivered)
    counts = {listener.count * len(crowd.listeners) for listener in crowd.listeners}
    if counts != {crowd.arrived}:
        raise RuntimeError(f"Not everybody got every event once: {counts}")


async def _alone(fanout: Fanout, crowd: Crowd, server: Server, events: int) -> None:
    """Publish one event at a time, when the one before has come to everybody."""
    for _ in range(events):
        crowd.instants = []
        before = crowd.arrived
        (began,) = await publish(server.address.port)
        await crowd.until_arrived(before + len(crowd.listeners))
        fanout.arrivals += [1000 * (instant - began) for instant in crowd.instants]
    crowd.instants = None


def print_fanouts(results: Sequence[Fanout]) -> None:
    """Print one line for each server, transport and number of subscribers, and whether the goal is met."""
    titles = (
        "",
        "subscribers",
        "events/s",
        "(min - max)",
        "p50 ms",
        "p99 ms",
        "of direct",
        "CPU us",
        "of direct",
        f"goal {LEAST:.2f}",
        "load's core",
    )
    rows = []
    for one in results:
        beside = [other for other in results if (other.transport, other.subscribers) == (one.transport, one.subscribers)]
        direct = next((other for other in beside if other.server == DIRECT), None)
        ratio = None if direct is None or one is direct else share(one, direct)
        rows.append(
            (
                f"{one.transport}, {one.server}",
                f"{one.subscribers:,}",
                f"{median(one.rates):,.0f}",
                f"({min(one.rates):,.0f} - {max(one.rates):,.0f})",
                f"{one.quantile(0.5):.2f}",
                f"{one.quantile(0.99):.2f}",
                "" if ratio is None else f"{ratio:.2f}",
                f"{median(one.costs):.2f}",
                "" if direct is None or one is direct else f"{median(direct.costs) / median(one.costs):.2f}",
                "" if ratio is None else verdict(ratio),
                f"{median(one.busy):.0%}",
            )
        )
    print_columns(titles, rows)


def verdict(ratio: float) -> str:
    """Return ``"met"`` if the ratio reaches the goal, else ``"missed"``."""
    return "met" if ratio >= LEAST else "missed"


if __name__ == "__main__":
    sys.exit(main())
