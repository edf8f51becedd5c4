"""MemoryMeter: the ``Meter`` port in one process, exact and of a bounded size."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from conversation_kit import forks
from conversation_kit.ports.metering import Reading, Taking, settle, sunken

MOST_KEYS = 100_000
"""Keys that are remembered; beyond that the one is forgotten of which nothing was wanted for longest. About 30 MB."""


class MemoryMeter:
    """Meter for one process, in whichever threads and event loops the kit runs in it.

    ``clock`` counts seconds and is not the time of day, so setting that changes nothing.
    """

    def __init__(self, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_keys = most_keys
        self._clock = clock
        self._levels: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """The level of each key with the time at which it was that, the one that was wanted last at the end."""
        self._lock = forks.lock()

    def __len__(self) -> int:
        """Return the number of keys that it remembers."""
        return len(self._levels)

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """See ``Meter.take``."""
        return self.take_now(takings)

    def take_now(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """Do the same as ``take``, which has nothing to wait for."""
        with self._lock:
            now = self._clock()
            _, readings = settle(takings, self._levels_of(takings, now))
            self._keep(takings, readings, now)
            return readings

    def look(self, takings: Sequence[Taking]) -> tuple[Sequence[Reading], float]:
        """Return what ``take`` would, without taking anything, and the time."""
        with self._lock:
            now = self._clock()
            return settle(takings, self._levels_of(takings, now))[1], now

    def note(self, takings: Sequence[Taking], readings: Sequence[Reading], at: float) -> None:
        """Remember levels that were read elsewhere, no earlier than at this time."""
        with self._lock:
            self._keep(takings, readings, at)

    def _levels_of(self, takings: Sequence[Taking], now: float) -> list[float]:
        found = [self._levels.get((one.application_id, one.key), (0.0, now)) for one in takings]
        return [sunken(level, now - at, one.rate) for one, (level, at) in zip(takings, found, strict=True)]

    def _keep(self, takings: Sequence[Taking], readings: Sequence[Reading], at: float) -> None:
        for one, reading in zip(takings, readings, strict=True):
            key = one.application_id, one.key
            self._levels[key] = reading.level, at
            self._levels.move_to_end(key)
        while len(self._levels) > self._most_keys:
            self._levels.popitem(last=False)
