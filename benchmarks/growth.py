"""``python -m benchmarks.growth``: whether the kit is as quick when there is much in its tables."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio

from benchmarks import cores
from benchmarks.__main__ import report
from benchmarks.apps import Spec
from benchmarks.available import add_databases
from benchmarks.bulk import Rows, make_schema
from benchmarks.databases import POSTGRES_VARIABLE, own_database, size_on_disk, why_not
from benchmarks.goals import print_goals
from benchmarks.grown import Crowd, Grown, Logs
from benchmarks.loaders import loading
from benchmarks.measuring import measure
from benchmarks.report import machine, print_table, write_json
from benchmarks.rooms import Address, Room
from benchmarks.server import running
from benchmarks.wire import Requests, read_json
from conversation_kit.auth import make_key_pair


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument(
        "--size", choices=("log", "large"), default="log", help="one long log beside short ones, or very many conversations (default: log)"
    )
    parser.add_argument("--events", type=int, help="events of the long log (default: 1,000,000), or of all conversations (10,000,000)")
    parser.add_argument("--conversations", type=int, default=1_000_000, help="with --size large (default: 1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each measurement is (default: 3)")
    parser.add_argument("--clients", default="16", help="numbers of connections (default: 16)")
    parser.add_argument("--only", metavar="NAME", default="", help="sqlite or postgres")
    parser.add_argument("--folder", type=Path, help="where SQLite's file is built (default: the system's folder for such things)")
    parser.add_argument(
        "--keep", action="store_true", help="with --size large: leave the tables, and go on with those that an earlier run has left"
    )
    add_databases(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    if arguments.keep and arguments.size == "log":
        parser.error("--keep is for --size large: appends have made the short logs longer")
    return arguments


def main() -> int:
    """Return the exit status: 1 when an answer was wrong, something stood still, or events are missing."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_key, public_key = make_key_pair()
    requests = Requests(private_key)
    grown = _grown(arguments)
    built = {}
    with ExitStack() as stack:
        urls = dict(_databases(arguments, stack))
        for name, url in urls.items():
            built[name] = _build(name, url, grown)
        servers = {name: stack.enter_context(running(name, Spec("kit", public_key, url, filled=False))) for name, url in urls.items()}
        before = {name: _counted(url) for name, url in urls.items()}
        for server in servers.values():
            assert server.address
        cores.pin(cores.LOAD)
        counts = [int(count) for count in arguments.clients.split(",")]
        every = [subject for name in servers for subject in grown.subjects(requests, name)]
        results = measure(every, servers, counts, arguments.rounds, arguments.seconds)
        problems = []
        for name, url in urls.items():
            problems += [f"{name}: {problem}" for problem in _unlike(servers[name].address, requests, grown.written)]
            accepted = sum(series.accepted for series in results if series.subject.server == name and series.subject.status == 201)
            if _counted(url) != (before[name][0] + accepted, before[name][1] + accepted):
                problems.append(f"{name}: {accepted} events were accepted; numbers and rows went from {before[name]} to {_counted(url)}")
    if not results:
        print("There is no database to measure.", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print_table(results, "of short")
    goals = [goal for count in counts for name in servers for goal in grown.goals(name, count)]
    if goals:
        print_goals(goals, results)
    if arguments.json:
        write_json(arguments.json, results, goals, {"tables": grown.label, "built": built})
    return report(problems, results)


def _grown(arguments: argparse.Namespace) -> Grown:
    if arguments.size == "log":
        return Logs(arguments.events or 1_000_000, arguments.rounds)
    per = max((arguments.events or 10_000_000) // arguments.conversations, 1)
    return Crowd(arguments.conversations, per)


def _databases(arguments: argparse.Namespace, stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Yield the URLs of databases that nobody else uses, by name."""
    own = f"conversation_kit_grown_{arguments.conversations}" if arguments.keep else f"conversation_kit_growth_{os.getpid()}"
    if arguments.only in "sqlite":
        folder = arguments.folder or Path(tempfile.gettempdir())
        if not arguments.keep:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-", dir=folder)))
        folder.mkdir(parents=True, exist_ok=True)
        yield "sqlite", f"sqlite:///{folder.resolve()}/{own}.db"
    if arguments.only in "postgres":
        reason = why_not(arguments.postgres, POSTGRES_VARIABLE)
        if reason is None:
            yield "postgres", stack.enter_context(own_database(arguments.postgres, own, keep=arguments.keep))
        else:
            print(f"postgres is left out: {reason}")


def _build(name: str, url: str, grown: Grown) -> dict[str, float]:
    """Build what is not there yet; says how long it took and how large it is."""
    print(f"{name}: building {grown.label}", flush=True)
    anyio.run(make_schema, url)
    rows = Rows(url)
    began = time.monotonic()
    with loading(url) as loader:
        before = loader.value(_COUNT)
        grown.build(loader, rows)
        built = loader.value(_COUNT) - before
        seconds = time.monotonic() - began
        loader.settle()
    os.sync()
    size = size_on_disk(url)
    print(f"{name}: {built:,} events built in {seconds:,.0f} s ({built / seconds:,.0f}/s), {size / 1e6:,.0f} MB on disk", flush=True)
    return {"events": built, "seconds": seconds, "bytes": size}


def _unlike(address: Address, requests: Requests, room: Room) -> list[str]:
    """Return how the first event of a conversation, which was built, differs from the last one, which the kit has appended."""
    path = f"/conversations/{room.id}/events?page_size=1&order="
    built, appended = (read_json(address, requests, room.members[0][0], path + order)[1] for order in ("asc", "desc"))
    assert isinstance(built, list)
    assert isinstance(appended, list)
    if list(built[0]) == list(appended[0]) and built[0]["id"] == "1" and built[0]["href"].endswith(f"{room.id}/events/1"):
        return []
    return [f"{built[0]} was built and is not like {appended[0]}"]


_COUNT = "SELECT count(*) FROM conversation_kit_event"
_NUMBERS = "SELECT sum(sequence_number) FROM conversation_kit_conversation"


def _counted(url: str) -> tuple[int, int]:
    """Return the sum of the conversations' counters, and the number of events that there are."""
    with loading(url) as loader:
        return loader.value(_NUMBERS), loader.value(_COUNT)


if __name__ == "__main__":
    sys.exit(main())
