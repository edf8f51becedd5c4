"""The meter port: how much of a rate is used, exactly, in one process or in all that share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from conversation_kit.domain.values.limits import Rate

ROUNDING = 1e-6
"""Part of one by which what came back may be short of a whole number, because it is counted in a double."""


@dataclass(frozen=True, slots=True)
class Taking:
    """Wish to use ``amount`` of what ``key``, a text of up to 300 characters, may have in an application at ``rate``."""

    application_id: str
    key: str
    amount: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class Reading:
    """Answer to a taking: ``level`` is how much of the rate is used now, with the taking if ``is_enough``, else without it."""

    rate: Rate
    level: float
    is_enough: bool
    missing: float = 0.0
    """Amount that was missing for the taking."""

    @property
    def remaining(self) -> int:
        """Number of those that may still be used at once."""
        return max(int(self.rate.amount - self.level + ROUNDING), 0)

    @property
    def seconds(self) -> float:
        """Seconds until what was missing has come back; if nothing was, until there is one more than ``remaining``."""
        wanted = self.missing if not self.is_enough else min(self.remaining + 1 - (self.rate.amount - self.level), self.level)
        return max(wanted, 0.0) * self.rate.seconds / self.rate.amount


@runtime_checkable
class Meter(Protocol):
    """Meter of what is used at rates.

    What was used comes back evenly: after ``seconds`` of the rate all of it. So a key has ``amount`` at once, and in a longer time
    ``amount`` more for each ``seconds``, and never more than that. A clock that is set makes nobody wait longer than twice ``seconds``,
    and gives nobody more than ``amount``. A meter holds a bounded number of keys, or forgets those of which nothing is used any more.
    """

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """Take all of these, of different keys, and return a reading of each; nothing is taken if one of them is not enough.

        Called concurrently, on asyncio or trio. Of takings that come at once, in several processes too, each sees what the others took.
        """
        ...


def sunken(level: float, elapsed: float, rate: Rate) -> float:
    """Return a level after ``elapsed`` seconds, if nothing was taken meanwhile."""
    return max(level - max(elapsed, 0.0) * rate.amount / rate.seconds, 0.0)


def settle(takings: Sequence[Taking], levels: Sequence[float]) -> tuple[bool, list[Reading]]:
    """Tell whether all may be taken that the meter's levels, of this moment, leave room for, and return the reading of each."""
    missing = [level + one.amount - one.rate.amount for one, level in zip(takings, levels, strict=True)]
    is_enough = all(amount <= ROUNDING for amount in missing)
    return is_enough, [
        Reading(one.rate, level + one.amount if is_enough else level, amount <= ROUNDING, amount)
        for one, level, amount in zip(takings, levels, missing, strict=True)
    ]
