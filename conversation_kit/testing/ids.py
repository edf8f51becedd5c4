"""Ids for tests."""

from __future__ import annotations

from collections import Counter


class SequentialIds:
    """Ids ``CON-00000001``, ``CON-00000002``, ``USR-00000001``, ...: the same in every run, and sorted in the order of their making."""

    def __init__(self) -> None:
        self._made: Counter[str] = Counter()

    def __call__(self, prefix: str) -> str:
        """Return the next id with this prefix."""
        self._made[prefix] += 1
        return f"{prefix}-{self._made[prefix]:08}"
