"""``python -m benchmarks``: start the servers, put load on them in turn, and print what they can do."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import cores
from benchmarks.load import drive
from benchmarks.report import Series, machine, print_table, write_json
from benchmarks.server import Server, running
from benchmarks.subjects import Requests, Subject, gaps, last_100, subjects
from conversation_kit.tokens import make_key_pair


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything works; the numbers mean little")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured, in turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each measurement is (default: 3)")
    parser.add_argument("--clients", default="1,16,64", help="numbers of connections (default: 1,16,64)")
    parser.add_argument(
        "--only", metavar="NAME", default="", help="only what has NAME in its name, such as sqlite or POST, and the yardsticks"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rounds, arguments.seconds, arguments.clients = 1, 0.2, "16"
    return arguments


def main() -> int:
    """Returns the exit status: 1 when an answer was wrong, something stood still, or the logs are not as they should be."""
    arguments = _arguments()
    private_key, public_key = make_key_pair()
    requests = Requests(private_key)
    problems: list[str] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-"))
        storages = {"memory": "memory://", "sqlite": f"sqlite:///{folder}/bench.db"}
        servers = {name: stack.enter_context(running(public_key, storage=url)) for name, url in storages.items()}
        page = last_100(servers["memory"].address, requests)
        servers["bare"] = stack.enter_context(running(public_key, page=page))
        addresses = {name: server.address for name, server in servers.items()}
        cores.pin(cores.LOAD)
        results = _measure(_chosen(list(subjects(requests, addresses)), arguments.only), servers, arguments)
        for name in storages:
            accepted = sum(outcome.accepted for series in results if _writes_to(series, name) for outcome in series.outcomes)
            problems += [f"{name}: {problem}" for problem in gaps(addresses[name], requests, accepted)]
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print_table(results)
    if arguments.json:
        write_json(results, arguments.json)
    for series in results:
        wrong = sum(outcome.wrong for outcome in series.outcomes)
        if wrong or not all(series.rates):
            problems.append(f"{series.subject.name}, {series.clients} clients: {wrong} wrong answers, rates {series.rates}")
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _chosen(every: Sequence[Subject], name: str) -> list[Subject]:
    wanted = [subject for subject in every if name.lower() in subject.name.lower()]
    names = {subject.name for subject in wanted} | {subject.yardstick for subject in wanted}
    return [subject for subject in every if subject.name in names]


def _measure(chosen: Sequence[Subject], servers: dict[str, Server], arguments: argparse.Namespace) -> list[Series]:
    """Everything once a round, so that what disturbs the machine for a while disturbs all alike."""
    counts = [int(count) for count in arguments.clients.split(",")]
    results = [Series(subject, count) for count in counts for subject in chosen]
    for _ in range(arguments.rounds):
        for series in results:
            subject = series.subject
            server = servers[subject.server]
            before = server.cpu_seconds()
            clients = subject.clients(series.clients)
            series.outcomes.append(drive(server.address.port, clients, status=subject.status, seconds=arguments.seconds))
            series.cpu_seconds.append(server.cpu_seconds() - before)
    return results


def _writes_to(series: Series, server: str) -> bool:
    return series.subject.server == server and series.subject.status == 201


if __name__ == "__main__":
    sys.exit(main())
