"""Instants as the API writes them: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

_EPOCH = re.compile("[0-9]{10}|[0-9]{13}")
_ISO = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "(?:[Tt ][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?)?"
)
_TWO = tuple(f"{number:02}" for number in range(60))
_THREE = tuple(f"{number:03}" for number in range(1000))


def now() -> datetime:
    """Return the current instant, cut to milliseconds so that it is read back as it was written."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def to_milliseconds(instant: datetime) -> datetime:
    """Return ``instant`` in UTC, cut to milliseconds."""
    return instant.astimezone(UTC).replace(microsecond=instant.microsecond // 1000 * 1000)


def to_text(instant: datetime) -> str:
    """Return the instant as the API writes it, such as ``2026-01-01T14:00:00.000Z``."""
    at = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    # What isoformat does, at a third of the time: several of them are in every answer, and most are of this minute.
    return f"{_to_minute(at.year, at.month, at.day, at.hour, at.minute)}:{_TWO[at.second]}.{_THREE[at.microsecond // 1000]}Z"


@lru_cache(maxsize=1024)
def _to_minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}"


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 date, with or without a time, or an epoch: 10 digits of seconds or 13 of milliseconds since 1970.

    A blank may stand for the ``T``; no zone means UTC. Raises ``ValueError`` for anything else.
    """
    if _EPOCH.fullmatch(text):
        return to_milliseconds(datetime.fromtimestamp(int(text) / (1000 if len(text) == 13 else 1), UTC))
    if not _ISO.fullmatch(text):
        # What fromisoformat takes beyond this it takes wrongly: any character between date and time, and so digits in a row.
        raise ValueError("not an ISO 8601 date")
    instant = datetime.fromisoformat(text.upper())
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999") from error
