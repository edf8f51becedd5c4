"""Everything in turn, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Outcome, drive
from benchmarks.server import Server
from benchmarks.subjects import Subject


@dataclass
class Series:
    """The outcomes of one subject with one number of clients, by round, and the processor time that each took the server."""

    subject: Subject
    clients: int
    outcomes: list[Outcome] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    warm_up: Outcome | None = None
    """Outcome of the first requests, which are only counted."""

    @property
    def rates(self) -> list[float]:
        """Requests a second."""
        return [outcome.rate for outcome in self.outcomes]

    @property
    def latency(self) -> float:
        """Milliseconds, the median of the rounds' medians."""
        return 1000 * median(outcome.latency for outcome in self.outcomes)

    @property
    def cost(self) -> float:
        """Microseconds of the server's processor time for one request; other processes on the machine hardly change it."""
        pairs = zip(self.cpu_seconds, self.outcomes, strict=True)
        return 1e6 * median(seconds / max(outcome.accepted + outcome.wrong, 1) for seconds, outcome in pairs)

    @property
    def accepted(self) -> int:
        """Number of answers that were as they should be."""
        return sum(outcome.accepted for outcome in self._every)

    @property
    def _every(self) -> list[Outcome]:
        return [*([self.warm_up] if self.warm_up else []), *self.outcomes]

    @property
    def problem(self) -> str | None:
        """Description of the failed requests, or ``None`` if there are none."""
        wrong = sum(outcome.wrong for outcome in self._every)
        # On a busy machine a short round may be over before the first answer, which still comes.
        if wrong == 0 and all(outcome.accepted for outcome in self.outcomes):
            return None
        example = next((f", such as {outcome.example!r}" for outcome in self._every if outcome.example), "")
        return f"{self.subject.name}, {self.clients} clients: {wrong} wrong answers{example}, rates {self.rates}"


def measure(chosen: Sequence[Subject], servers: Mapping[str, Server], counts: Sequence[int], rounds: int, seconds: float) -> list[Series]:
    """Measure everything once a round, so that a disturbance of the machine hits all alike; every other round backwards."""
    results = [Series(subject, count) for count in counts for subject in chosen if subject.only_at in (None, count)]
    for series in {series.subject.name: series for series in reversed(results)}.values():
        subject = series.subject
        series.warm_up = drive(servers[subject.server].address.port, subject.clients(series.clients), status=subject.status, seconds=0)
    for number in range(rounds):
        for series in results if number % 2 == 0 else reversed(results):
            subject = series.subject
            server = servers[subject.server]
            before = server.cpu_seconds()
            clients = subject.clients(series.clients, number)
            series.outcomes.append(drive(server.address.port, clients, status=subject.status, seconds=seconds))
            series.cpu_seconds.append(server.cpu_seconds() - before)
    return results


def find(results: Sequence[Series], subject: str, clients: int) -> Series | None:
    """Return the series of a subject with this number of clients, if it was measured."""
    return next((series for series in results if series.subject.name == subject and series.clients == clients), None)


def ratio(series: Series, other: Series) -> float:
    """Return the median of the rounds' ratios of rates: a slow round is slow for both."""
    pairs = zip(series.rates, other.rates, strict=True)
    return median(rate / against if against else 0.0 for rate, against in pairs)


def latency_ratio(series: Series, other: Series) -> float:
    """Return the same of the median latencies."""
    pairs = zip(series.outcomes, other.outcomes, strict=True)
    return median(one.latency / against.latency if against.latency else 0.0 for one, against in pairs)
