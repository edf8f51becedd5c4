"""The results as a table and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.goals import Goal, judged
from benchmarks.measuring import Series, find, ratio

PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "pydantic", "sqlalchemy", "psycopg", "pymysql", "hypercorn", "trio")
OTHERS = ("fastapi", "aiosqlite", "django", "djangorestframework")


def print_table(results: Sequence[Series], against: str = "of bare") -> None:
    """Print one line for each series.

    ``against`` heads its shares of its yardstick, and *ours* is the kit's rate as a multiple of this one. Columns that would be empty
    are left out.
    """
    titles = ("", "clients", "requests/s", "(min - max)", "p50 ms", against, "CPU us", against, "ours", "load's core")
    rows = [_cells(results, series) for series in sorted(results, key=lambda series: series.clients)]
    print_columns(titles, rows)


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows below their titles, the first column to the left; columns that would be empty are left out."""
    columns = [column for column in zip(titles, *rows, strict=True) if any(column[1:])]
    widths = [max(len(cell) for cell in column) for column in columns]
    for line in zip(*columns, strict=True):
        first, *others = (f"{cell:{'>' if place else '<'}{width}}" for place, (cell, width) in enumerate(zip(line, widths, strict=True)))
        print("  ".join([first, *others]))


def _cells(results: Sequence[Series], series: Series) -> tuple[str, ...]:
    shares = _shares(results, series)
    busy = median(outcome.busy for outcome in series.outcomes)
    return (
        series.subject.name,
        str(series.clients),
        f"{median(series.rates):,.0f}",
        f"({min(series.rates):,.0f} - {max(series.rates):,.0f})",
        f"{series.latency:.2f}",
        _share(shares["of_yardstick"]),
        f"{series.cost:.0f}",
        _share(shares["cpu_of_yardstick"]),
        _share(shares["ours"], "x"),
        f"{busy:.0%}",
    )


def _share(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.2f}{unit}"


def _shares(results: Sequence[Series], series: Series) -> dict[str, float | None]:
    """Return the share of the yardstick's rate, the yardstick's share of the cost, and how many times this rate the kit's is."""
    yardstick = find(results, series.subject.yardstick, series.clients)
    ours = find(results, series.subject.ours, series.clients)
    return {
        "of_yardstick": None if yardstick is None else ratio(series, yardstick),
        "cpu_of_yardstick": None if yardstick is None or not series.cost else yardstick.cost / series.cost,
        "ours": None if ours is None else ratio(ours, series),
    }


def machine() -> dict[str, str]:
    """Return the facts that the results depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version(), "system": platform.system()}
    for name in (*PACKAGES, *OTHERS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_json(file: Path, results: Sequence[Series], wanted: Sequence[Goal], more: dict[str, Any] | None = None) -> None:
    """Write everything as JSON, for programs."""
    rows = [
        {
            "subject": series.subject.name,
            "clients": series.clients,
            "requests_per_second": series.rates,
            "p50_ms": series.latency,
            "yardstick": series.subject.yardstick or None,
            "cpu_us": series.cost,
            **_shares(results, series),
        }
        for series in results
    ]
    verdicts = [{**asdict(goal), "measured": value, "verdict": verdict} for goal, value, verdict in judged(wanted, results)]
    file.write_text(json.dumps({"machine": machine(), **(more or {}), "results": rows, "goals": verdicts}, indent=2) + "\n")


def write_records(file: Path, results: Sequence[Any]) -> None:
    """Write the results as their dataclasses have them, for programs."""
    file.write_text(json.dumps({"machine": machine(), "results": [asdict(result) for result in results]}, indent=2) + "\n")
