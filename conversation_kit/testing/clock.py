"""A clock for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from conversation_kit.domain.values.times import to_milliseconds


class FakeClock:
    """Clock that tells the same instant, aware and in UTC, until somebody moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        """Begin at ``start``, which must be aware."""
        if start.tzinfo is None:
            raise ValueError("start has no time zone: give it one, such as datetime.UTC")
        self._now = to_milliseconds(start)

    def __call__(self) -> datetime:
        """Return the instant it is, cut to milliseconds."""
        return to_milliseconds(self._now)

    def advance(self, seconds: float) -> datetime:
        """Move on by ``seconds``, which may be a fraction, and return the new instant. There is no way back."""
        if seconds < 0:
            raise ValueError("a clock does not run backwards")
        self._now += timedelta(seconds=seconds)
        return self()
