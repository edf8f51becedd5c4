"""Things that can be used once only."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from conversation_kit.testing.harness.concurrency import together
from conversation_kit.testing.harness.harness import APP, OTHER, Bench, Contract

MINUTE = timedelta(minutes=1)
RACERS = 32


async def spend(bench: Bench, mark: str, application_id: str = APP, at: datetime | None = None) -> bool:
    """Spend a mark for a minute."""
    now = at or bench.clock()
    return await bench.storage.spend(application_id, mark, now + MINUTE, now)


class SpendingContract(Contract):
    """A mark is spent once, whoever is at it at the same time."""

    async def test_a_mark_is_spent_once_in_each_application(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            assert [await spend(bench, mark) for mark in ("a" * 64, "A" * 64, "a" * 64, "b")] == [True, True, False, True]
            assert await spend(bench, "b", OTHER)

    async def test_of_many_who_spend_a_mark_one_is_the_first(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            for mark in ("one", "two"):
                outcomes = await together(*[partial(spend, bench, mark) for _ in range(RACERS)])
                assert sorted(outcomes, key=repr) == [False] * (RACERS - 1) + [True]

    async def test_a_mark_that_is_over_may_be_forgotten_and_no_other(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            begun = bench.clock()
            for number in range(3):
                assert await spend(bench, f"old {number}", at=begun)
            assert await spend(bench, "new", at=begun + MINUTE)
            assert not await spend(bench, "new", at=begun + MINUTE)
            # Whether or not it was, nothing is in the way of the next.
            assert await spend(bench, "newer", at=begun + MINUTE)
