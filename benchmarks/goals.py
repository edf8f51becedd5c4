"""Goals of the kit, and whether it reaches them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.measuring import Series, find, latency_ratio, ratio
from benchmarks.rooms import CONVERSATIONS

POST, GET = "POST event", "GET last 100"
MANY = f", {CONVERSATIONS} conversations"


@dataclass(frozen=True)
class Goal:
    """The rate of ``subject`` is at least ``least`` times that of ``other``, or its latency at most ``most`` times the other's."""

    subject: str
    other: str
    clients: int
    least: float | None = None
    most: float | None = None

    def measured(self, results: Sequence[Series]) -> float | None:
        """Return the ratio, if both were measured."""
        series, other = find(results, self.subject, self.clients), find(results, self.other, self.clients)
        if series is None or other is None:
            return None
        return ratio(series, other) if self.most is None else latency_ratio(series, other)

    def is_met_by(self, value: float) -> bool:
        """Tell whether this ratio is good enough."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def goals() -> Iterator[Goal]:
    """Yield all goals."""
    for database, shares in (("sqlite", (0.60, 0.80, 0.80)), ("postgres", (0.45, 0.65, 0.70))):
        for detail in ("", MANY):
            for clients, share in zip((16, 64, 256), shares, strict=True):
                yield Goal(f"{POST}, {database}{detail}", f"{POST}, bare", clients, least=share)
    yield Goal(f"{POST}, memory", f"{POST}, bare", 64, least=0.90)
    yield Goal(f"{GET}, sqlite", f"{GET}, bare", 16, least=0.80)
    yield Goal(f"{GET}, postgres", f"{GET}, bare", 16, least=0.45)
    for database in ("sqlite", "postgres"):
        yield Goal(f"{POST}, {database}", f"{POST}, raw {database}", 1, most=1.5)
    for whose, database, post, get in (
        ("fastapi", "sqlite", 25, 30),
        ("django", "sqlite", 40, 50),
        ("fastapi", "postgres", 15, 18),
        ("django", "postgres", 25, 35),
    ):
        yield Goal(f"{POST}, {database}", f"{POST}, {whose} {database}", 16, least=post)
        yield Goal(f"{GET}, {database}", f"{GET}, {whose} {database}", 16, least=get)
    for storage in ("memory", "sqlite"):
        for what in (POST, GET):
            yield Goal(f"{what}, hypercorn {storage}", f"{what}, hypercorn bare", 16, least=0.80)


def judged(wanted: Sequence[Goal], results: Sequence[Series]) -> list[tuple[Goal, float | None, str]]:
    """Return each goal with the measured ratio, and ``met``, ``missed`` or ``not measured``."""
    rows: list[tuple[Goal, float | None, str]] = []
    for goal in wanted:
        value = goal.measured(results)
        rows.append((goal, value, "not measured" if value is None else "met" if goal.is_met_by(value) else "missed"))
    return rows


def print_goals(wanted: Sequence[Goal], results: Sequence[Series]) -> None:
    """Print one line for each goal that was measured."""
    rows = judged(wanted, results)
    width = max(len(goal.subject) for goal in wanted)
    other_width = max(len(goal.other) for goal in wanted)
    print(f"\n{'Goals':{width}}  clients  {'compared with':{other_width}}        goal      measured")
    for goal, value, verdict in rows:
        if value is not None:
            bound = f"rate >= {goal.least:.2f}" if goal.most is None else f"p50  <= {goal.most:.2f}"
            print(f"{goal.subject:{width}}  {goal.clients:7}  {goal.other:{other_width}}  {bound:13}  {value:8.3f}  {verdict}")
    missing = sum(value is None for _, value, _ in rows)
    if missing:
        print(f"{missing} more goals were not measured.")
