"""Identifiers: a prefix that names the noun and a time-ordered UUID."""

from __future__ import annotations

import os
import time
from uuid import UUID

from conversation_kit import forks

_lock = forks.lock()
_last = 0


def uuid7() -> UUID:
    """Return a random UUID that sorts after every earlier one of this process (RFC 9562, version 7).

    The 12 bits after the milliseconds are a fraction of the millisecond, moved on by one when the clock has not moved.
    """
    global _last
    with _lock:
        now = _last = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
    tail = int.from_bytes(os.urandom(8), "big") & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=(now >> 12) << 80 | 0x7 << 76 | (now & 0xFFF) << 64 | tail)


def new_id(prefix: str) -> str:
    """Return an id such as ``CON-018f...``; ``prefix`` is ``CON``, ``USR``, ``MEM``, ``NAM`` or ``SES``."""
    return f"{prefix}-{uuid7()}"
