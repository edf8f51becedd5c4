"""Limits on a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conversation_kit import Limits, MemoryMeter, Quotas


@dataclass
class Time:
    """A clock that stands still until it is told to go on, and a meter by it."""

    now: float = 1000.0
    meter: MemoryMeter = field(init=False)

    def __post_init__(self) -> None:
        self.meter = MemoryMeter(clock=lambda: self.now)


def limited(time: Time, **limits: Quotas) -> dict[str, Any]:
    """Return options of a kit with these limits, by this clock."""
    return {"limits": Limits(**limits), "meter": time.meter}
