"""The results as a table and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.load import Outcome
from benchmarks.subjects import Subject

PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "pydantic", "sqlalchemy")


@dataclass
class Series:
    """The outcomes of one subject with one number of clients, by round, and the processor time that each took the server."""

    subject: Subject
    clients: int
    outcomes: list[Outcome] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

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


def ratio(series: Series, yardstick: Series) -> float:
    """The median of the rounds' ratios: what slows a round down slows down both."""
    pairs = zip(series.rates, yardstick.rates, strict=True)
    return median(rate / bare if bare else 0.0 for rate, bare in pairs)


def _rows(results: Sequence[Series]) -> Iterator[tuple[Series, float, float]]:
    """Each series with its share of the yardstick's rate, and the yardstick's share of its cost."""
    by_key = {(series.subject.name, series.clients): series for series in results}
    for series in results:
        yardstick = by_key[series.subject.yardstick, series.clients]
        yield series, ratio(series, yardstick), yardstick.cost / series.cost


def print_table(results: Sequence[Series]) -> None:
    """One line for each series."""
    width = max(len(series.subject.name) for series in results)
    print(f"{'':{width}}  clients  requests/s  (min - max)        p50 ms  of bare  CPU us  of bare  load's core")
    for series, share, saving in sorted(_rows(results), key=lambda row: row[0].clients):
        rates = series.rates
        spread = f"({min(rates):,.0f} - {max(rates):,.0f})"
        busy = median(outcome.busy for outcome in series.outcomes)
        rate = f"{series.clients:7}  {median(rates):10,.0f}  {spread:17}  {series.latency:6.2f}  {share:7.2f}"
        print(f"{series.subject.name:{width}}  {rate}  {series.cost:6.0f}  {saving:7.2f}  {busy:11.0%}")


def machine() -> dict[str, str]:
    """What the results depend on."""
    return {"python": platform.python_version(), "system": platform.system(), **{name: version(name) for name in PACKAGES}}


def write_json(results: Sequence[Series], file: Path) -> None:
    """Everything, for programs."""
    rows = [
        {
            "subject": series.subject.name,
            "clients": series.clients,
            "requests_per_second": series.rates,
            "p50_ms": series.latency,
            "of_bare": share,
            "cpu_us": series.cost,
            "cpu_of_bare": saving,
        }
        for series, share, saving in _rows(results)
    ]
    file.write_text(json.dumps({"machine": machine(), "results": rows}, indent=2) + "\n")
