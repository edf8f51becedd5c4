from __future__ import annotations

import pytest

from benchmarks.goals import Goal, goals, judged
from benchmarks.load import Outcome
from benchmarks.measuring import Series
from benchmarks.subjects import Subject, chosen


def series(name: str, *rates: float, latency: float = 0.001, clients: int = 16) -> Series:
    outcomes = [Outcome(rate, latency, int(rate), 0, 0.1, "") for rate in rates]
    return Series(Subject(name, "server", 201, [[b""]]), clients, outcomes, [0.1] * len(rates))


@pytest.mark.parametrize(("least", "verdict"), [(0.5, "met"), (0.51, "missed")])
def test_a_goal_is_compared_with_the_median_of_the_rounds_ratios(least: float, verdict: str) -> None:
    results = [series("ours", 50, 10, 500), series("other", 100, 100, 500)]
    assert judged([Goal("ours", "other", 16, least=least)], results) == [(Goal("ours", "other", 16, least=least), 0.5, verdict)]


def test_a_latency_may_be_so_many_times_the_others() -> None:
    results = [series("ours", 1, latency=0.003, clients=1), series("other", 1, latency=0.002, clients=1)]
    goal = Goal("ours", "other", 1, most=1.6)
    assert [verdict for _, _, verdict in judged([goal], results)] == ["met"]


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {verdict for _, _, verdict in judged(list(goals()), [series("POST event, bare", 1)])} == {"not measured"}


def test_warming_up_counts_as_accepted() -> None:
    measured = series("ours", 10)
    measured.warm_up = Outcome(0.0, 0.0, 3, 0, 0.1, "")
    assert measured.accepted == 13


def test_what_is_chosen_brings_what_it_is_compared_with() -> None:
    every = [
        Subject("bare", "bare", 201, [[b""]]),
        Subject("ours", "sqlite", 201, [[b""]], "bare"),
        Subject("theirs", "django", 201, [[b""]], "bare", "ours"),
        Subject("memory", "memory", 201, [[b""]], "bare"),
    ]
    assert [subject.name for subject in chosen(every, "THEIR")] == ["bare", "ours", "theirs"]


def test_a_name_is_looked_for_as_it_is_written() -> None:
    every = [Subject(name, "server", 200, [[b""]]) for name in ("POST event, memory", "GET last 100, postgres")]
    assert chosen(every, "POST") == every[:1]
    assert chosen(every, "Memory") == every[:1]


def test_requests_may_change_by_round() -> None:
    subject = Subject("ours", "sqlite", 201, [[b"first"], [b"second"]], by_round=True)
    assert subject.clients(2, 3) == [[b"second"], [b"second"]]


def test_a_round_in_which_nothing_was_answered_is_a_problem_and_one_that_was_too_short_is_none() -> None:
    standing, late = series("standing", 100.0), series("late", 100.0)
    standing.outcomes.append(Outcome(0.0, 0.0, 0, 0, 0.1, ""))
    late.outcomes.append(Outcome(0.0, 0.0, 16, 0, 0.1, ""))
    assert standing.problem is not None
    assert late.problem is None
