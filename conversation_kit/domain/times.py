"""Instants as the API writes them: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, cut to milliseconds so that what is written is what is read back."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def to_milliseconds(instant: datetime) -> datetime:
    """``instant`` in UTC without what is finer than a millisecond."""
    return instant.astimezone(UTC).replace(microsecond=instant.microsecond // 1000 * 1000)


def to_text(instant: datetime) -> str:
    """``2026-01-01T14:00:00.000Z``."""
    return instant.astimezone(UTC).isoformat("T", "milliseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """Read RFC 3339, or the same with a blank for the ``T``; no zone means UTC (SEMANTICS 1.1 #14).

    Raises ``ValueError`` for anything else.
    """
    instant = datetime.fromisoformat(text)
    if len(text) < len("2026-01-01"):
        raise ValueError("not an ISO 8601 date")
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999") from error
