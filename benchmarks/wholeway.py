"""``python -m benchmarks.wholeway``: events posted, stored and delivered to all who listen, beside an endpoint that only answers."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import cores
from benchmarks.apps import Spec
from benchmarks.available import add_databases
from benchmarks.databases import POSTGRES_VARIABLE, own_database, why_not
from benchmarks.listening import Crowd, listening
from benchmarks.load import Outcome, driven
from benchmarks.report import machine, print_columns, write_records
from benchmarks.rooms import Room
from benchmarks.server import Server, running
from benchmarks.subjects import turns
from benchmarks.wire import Requests
from conversation_kit.auth import make_key_pair

SENDERS, MEMBERS = 16, 10
BARE, DIRECT = "bare", "direct"
"""The yardsticks: an endpoint that only answers, and one that also sends ready bytes to all who listen. Neither stores anything."""

REST_SECONDS = 0.005
GOALS = {"sqlite": (0.40, 2.0), "postgres": (0.30, 3.0)}
"""By storage: the least share of bare's rate, and the most milliseconds from POST to arrival on an idle server, in the median."""


@dataclass
class Way:
    """Results of one server, by round."""

    server: str
    outcomes: list[Outcome] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """Microseconds of the server's processor time for one POST with all that it brings about."""
    arrivals: list[float] = field(default_factory=list)
    """Milliseconds from POST to arrival, of events that were posted one by one."""

    @property
    def rates(self) -> list[float]:
        """Events a second."""
        return [outcome.rate for outcome in self.outcomes]

    def share(self, bare: Way) -> float:
        """Return the median of the rounds' ratios of rates."""
        return median(rate / against for rate, against in zip(self.rates, bare.rates, strict=True))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wholeway", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds only, to see that everything works; the numbers mean little")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measurement is (default: 2)")
    parser.add_argument("--only", choices=("memory", *GOALS), help="one storage")
    parser.add_argument("--conversations", type=int, default=50, help="how many are written to, each with ten who listen (default: 50)")
    parser.add_argument("--alone", type=int, default=200, help="events that are posted one by one, for the times of arrival (default: 200)")
    add_databases(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rounds, arguments.seconds, arguments.conversations, arguments.alone = 1, 0.2, 5, 10
    return arguments


def main() -> int:
    """Return the exit status: 1 when an answer was wrong, or somebody did not get every event once."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_key, public_key = make_key_pair()
    requests = Requests(private_key)
    with ExitStack() as stack:
        specs = {BARE: Spec("bare", public_key), DIRECT: Spec("direct", public_key)}
        for name, url in _urls(arguments, stack).items():
            specs[name] = Spec("kit", public_key, url, many=(arguments.conversations, MEMBERS))
        servers = {name: stack.enter_context(running(name, spec)) for name, spec in specs.items()}
        for server in servers.values():
            assert server.address
        cores.pin(cores.LOAD)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                results = runner.run(measure(servers, requests, arguments.rounds, arguments.seconds, arguments.alone))
        except RuntimeError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print_ways(results)
    if arguments.json:
        write_records(arguments.json, results)
    return 0


def _urls(arguments: argparse.Namespace, stack: ExitStack) -> dict[str, str]:
    """Return the kits' databases by name."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-"))
    urls = {"memory": "memory://", "sqlite": f"sqlite:///{folder}/kit.db"}
    reason = why_not(arguments.postgres, POSTGRES_VARIABLE)
    if reason is None:
        urls["postgres"] = stack.enter_context(own_database(arguments.postgres, f"conversation_kit_wholeway_{os.getpid()}"))
    else:
        print(f"postgres is left out: {reason}")
    return {name: url for name, url in urls.items() if arguments.only in (None, name)}


async def measure(servers: Mapping[str, Server], requests: Requests, rounds: int, seconds: float, alone: int) -> list[Way]:
    """Measure all servers in turn, every other round backwards, with the same listeners throughout.

    Raises ``RuntimeError`` when an answer is wrong, or not everybody gets every event once.
    """
    async with AsyncExitStack() as stack:
        crowds: dict[str, Crowd] = {}
        for name, server in servers.items():
            if name != BARE:
                streams = [stream for room in _rooms(servers, name) for stream in _streams(requests, room)]
                crowds[name] = await stack.enter_async_context(listening(server.address.port, streams))
        ways = [Way(name) for name in servers]
        for way in ways:
            await _post(Way(way.server), servers, crowds.get(way.server), requests, 0.0)
        for number in range(rounds):
            for way in ways if number % 2 == 0 else reversed(ways):
                await _post(way, servers, crowds.get(way.server), requests, seconds)
        for way in ways:
            if way.server in crowds:
                posts = [requests.post(room, index) for index, room in enumerate(_rooms(servers, way.server))]
                await _alone(way, servers[way.server].address.port, crowds[way.server], posts, alone)
        return ways


def _rooms(servers: Mapping[str, Server], name: str) -> list[Room]:
    """Return the conversations that are written to: the server's own, or some kit's where it has none."""
    return next(server.rooms.many for other, server in servers.items() if name in (other, BARE, DIRECT) and other not in (BARE, DIRECT))


def _streams(requests: Requests, room: Room) -> list[bytes]:
    """Return the requests of its members for streams."""
    return [requests.listen(f"/conversations/{room.id}/events", user, "sse") for user, _ in room.members]


async def _post(way: Way, servers: Mapping[str, Server], crowd: Crowd | None, requests: Requests, seconds: float) -> None:
    """Post as much as there can be, and wait until all of it has come to everybody."""
    server = servers[way.server]
    each = turns([requests.post(room, index) for index, room in enumerate(_rooms(servers, way.server))])
    clients = [each[index % len(each)] for index in range(SENDERS)]
    used, before = server.cpu_seconds(), crowd.arrived if crowd else 0
    outcome = await driven(server.address.port, clients, status=201, seconds=seconds)
    if outcome.wrong:
        raise RuntimeError(f"{way.server}: {outcome.wrong} wrong answers, such as {outcome.example!r}")
    if crowd is not None:
        await crowd.until_arrived(before + outcome.accepted * MEMBERS)
        _check(crowd)
    way.outcomes.append(outcome)
    way.costs.append(1e6 * (server.cpu_seconds() - used) / outcome.accepted)


def _check(crowd: Crowd) -> None:
    counts = [listener.count for listener in crowd.listeners]
    for first in range(0, len(counts), MEMBERS):
        if len(set(counts[first : first + MEMBERS])) > 1:
            raise RuntimeError(f"Members of one conversation got different numbers of events: {counts[first : first + MEMBERS]}")


async def _alone(way: Way, port: int, crowd: Crowd, posts: Sequence[bytes], events: int) -> None:
    """Post one event at a time, over a connection that is kept, when the one before has come to everybody."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(events):
        await asyncio.sleep(REST_SECONDS)
        crowd.instants = []
        before = crowd.arrived
        began = time.monotonic()
        writer.write(posts[number % len(posts)])
        await crowd.until_arrived(before + MEMBERS)
        way.arrivals += [1000 * (instant - began) for instant in crowd.instants]
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    crowd.instants = None
    writer.close()


def print_ways(results: Sequence[Way]) -> None:
    """Print one line for each server, and whether its goals are met."""
    titles = (
        "",
        "POST/s",
        "(min - max)",
        "of bare",
        "goal",
        "CPU us",
        "of bare",
        "of direct",
        "idle p50 ms",
        "p99",
        "goal ",
        "load's core",
    )
    bare, direct = (next(way for way in results if way.server == name) for name in (BARE, DIRECT))
    rows = []
    for way in results:
        share, arrivals = way.share(bare), sorted(way.arrivals)
        p50 = median(arrivals) if arrivals else 0.0
        least, most = GOALS.get(way.server, (None, None))
        rows.append(
            (
                way.server,
                f"{median(way.rates):,.0f}",
                f"({min(way.rates):,.0f} - {max(way.rates):,.0f})",
                f"{share:.2f}",
                "" if least is None else f">= {least:.2f} {'met' if share >= least else 'missed'}",
                f"{median(way.costs):.0f}",
                f"{median(bare.costs) / median(way.costs):.2f}",
                f"{median(direct.costs) / median(way.costs):.2f}",
                f"{p50:.2f}" if arrivals else "",
                f"{arrivals[len(arrivals) * 99 // 100]:.2f}" if arrivals else "",
                "" if most is None else f"< {most:.0f} {'met' if p50 < most else 'missed'}",
                f"{median(outcome.busy for outcome in way.outcomes):.0%}",
            )
        )
    print_columns(titles, rows)


if __name__ == "__main__":
    sys.exit(main())
