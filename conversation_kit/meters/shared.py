"""SharedMeter: a meter of several processes, as one of them asks it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit.meters.memory import MemoryMeter
from conversation_kit.ports.brokers import Connected
from conversation_kit.ports.metering import Meter, Reading, Taking

logger = logging.getLogger("conversation_kit")

AWAY_SECONDS = 5.0
"""Seconds for which a meter that could not be asked is not asked again."""


class SharedMeter:
    """Meter that asks ``shared`` for what that may allow.

    What ``shared`` is certain to refuse is refused here: a level that was read sinks no faster than its rate says. So who floods costs
    the others nothing but this look. While ``shared`` cannot be asked, this process counts for itself, and a warning says so. If it is a
    storage that is away, ``StorageUnavailable`` is raised, because then nothing can be written either.
    """

    def __init__(self, shared: Meter) -> None:
        self._shared = shared
        self._own = MemoryMeter()
        self._away_until = 0.0
        self._is_away = False

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """See ``Meter.take``."""
        foreseen, now = self._own.look(takings)
        if not all(reading.is_enough for reading in foreseen):
            return foreseen
        if time.monotonic() < self._away_until:
            return self._own.take_now(takings)
        try:
            readings = await self._shared.take(takings)
        except StorageUnavailable:
            raise
        except Exception as error:
            self._fails(error)
            return self._own.take_now(takings)
        if self._is_away:
            self._is_away = False
            logger.info("The meter of limits can be asked again.")
        self._own.note(takings, readings, now)
        return readings

    async def open(self) -> None:
        """See ``Connected.open``."""
        if isinstance(self._shared, Connected):
            await self._shared.open()

    async def close(self) -> None:
        """See ``Connected.close``."""
        if isinstance(self._shared, Connected):
            await self._shared.close()

    def _fails(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        if not self._is_away:
            self._is_away = True
            logger.warning(
                "The meter of limits cannot be asked (%s: %s). Until it can be, each process counts for itself. Is its server running, and "
                "is meter= right?",
                type(error).__name__,
                " ".join(str(error).split()),
            )
