"""``python -m benchmarks``: start the servers, put load on them in turn, and print what they can do."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import cores
from benchmarks.apps import Spec
from benchmarks.available import add_databases, is_installed, specs
from benchmarks.goals import goals, print_goals
from benchmarks.measuring import Series, measure
from benchmarks.report import machine, print_table, write_json
from benchmarks.server import Server, running
from benchmarks.subjects import chosen, subjects
from benchmarks.wire import Requests, gaps, last_100
from conversation_kit.auth import make_key_pair


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a minute at most, to see that everything works; the numbers mean little")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each measurement is (default: 3)")
    parser.add_argument("--clients", default="1,16,64,256", help="numbers of connections (default: 1,16,64,256)")
    parser.add_argument(
        "--only", metavar="NAME", default="", help="only what has NAME in its name, such as sqlite or POST, and what it is compared with"
    )
    add_databases(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rounds, arguments.seconds, arguments.clients = 1, 0.2, "1,16"
    return arguments


def main() -> int:
    """Return the exit status: 1 when an answer was wrong, something stood still, or the logs are not as they should be."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_key, public_key = make_key_pair()
    requests = Requests(private_key)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-"))
        kits: list[str] = []
        servers: dict[str, Server] = {}
        for name, spec in specs(arguments, public_key, stack, folder):
            servers[name] = stack.enter_context(running(name, spec))
            if spec.kind == "kit":
                kits.append(name)
        servers = {**_bare(servers["memory"], stack, public_key, requests), **servers}
        for server in servers.values():
            assert server.address
        cores.pin(cores.LOAD)
        counts = [int(count) for count in arguments.clients.split(",")]
        every = chosen(list(subjects(requests, servers)), arguments.only)
        results = measure(every, servers, counts, arguments.rounds, arguments.seconds)
        problems = _wrong_logs(results, {name: servers[name] for name in kits}, requests)
    if not results:
        print(f"Nothing named {arguments.only!r} is measured with {arguments.clients} clients.", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print_table(results)
    print_goals(list(goals()), results)
    if arguments.json:
        write_json(arguments.json, results, list(goals()))
    return report(problems, results)


def _bare(memory: Server, stack: ExitStack, public_key: str, requests: Requests) -> dict[str, Server]:
    """Start the yardsticks, which send the page that the kit in memory answers."""
    spec = Spec("bare", public_key, page=last_100(memory.address, memory.rooms, requests))
    servers = {"bare": stack.enter_context(running("bare", spec))}
    if is_installed("hypercorn bare"):
        servers["hypercorn bare"] = stack.enter_context(running("hypercorn bare", replace(spec, runtime="hypercorn")))
    return servers


def _wrong_logs(results: Sequence[Series], kits: dict[str, Server], requests: Requests) -> list[str]:
    problems = []
    for name, server in kits.items():
        posted = sum(series.accepted for series in results if series.subject.server == name and series.subject.status == 201)
        problems += [f"{name}: {problem}" for problem in gaps(server.address, server.rooms, requests, posted)]
    return problems


def report(problems: Sequence[str], results: Sequence[Series]) -> int:
    """Print the problems, and return the exit status."""
    every = [*problems, *(series.problem for series in results if series.problem)]
    for problem in every:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(main())
