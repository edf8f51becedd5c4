"""Access lists: which paths and methods a token is good for (SEMANTICS section 5).

A pattern is split at ``/``: ``*`` stands for one non-empty segment, ``**`` for any number of them, everything else for itself.
Any entry that matches the path and allows the method, and whose filters hold, grants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conversation_kit.domain.errors import Unauthenticated

MAX_PATHS = 100
MAX_PATTERN = 500


@dataclass(frozen=True, slots=True)
class _Entry:
    path: re.Pattern[str]
    methods: frozenset[str] | None
    filters: tuple[tuple[str, str], ...]

    def grants(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        if self.methods is not None and method not in self.methods:
            return False
        if not any(self.path.fullmatch(path) for path in paths):
            return False
        return all(name in fields and _as_text(fields[name]) == value for name, value in self.filters)


class PathACL:
    """The ``acl`` claim of a token."""

    __slots__ = ("_entries", "reads_fields")

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self._entries = entries
        self.reads_fields = any(entry.filters for entry in entries)

    @classmethod
    def parse(cls, claim: Any) -> PathACL:
        """Read ``{"paths": {"/*/users/**": {"methods": ["GET"], "filters": {"from": "447..."}}}}``.

        An entry without ``methods`` allows all of them. Raises ``Unauthenticated`` for what is not such a claim.
        """
        paths = claim.get("paths") if isinstance(claim, Mapping) else None
        if not isinstance(paths, Mapping) or len(paths) > MAX_PATHS:
            raise _malformed(f"it must be an object with at most {MAX_PATHS} paths")
        return cls([_entry(pattern, rule) for pattern, rule in paths.items()])

    def permits(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        """Whether one of ``paths`` may be called with ``method``. A filter on what is not in ``fields`` does not hold."""
        method = method.upper()
        paths = [path.rstrip("/") or "/" for path in paths]
        return any(entry.grants(method, paths, fields) for entry in self._entries)


def _entry(pattern: str, rule: Any) -> _Entry:
    if len(pattern) > MAX_PATTERN or not isinstance(rule, Mapping):
        raise _malformed(f"each path has at most {MAX_PATTERN} characters and an object as its value")
    methods, filters = rule.get("methods"), rule.get("filters")
    if methods is not None and not (isinstance(methods, list) and all(isinstance(method, str) for method in methods)):
        raise _malformed("methods must be a list of names")
    if filters is not None and not isinstance(filters, Mapping):
        raise _malformed("filters must be an object")
    return _Entry(
        _compile(pattern),
        frozenset(method.upper() for method in methods) if methods is not None else None,
        tuple((name, _as_text(value)) for name, value in (filters or {}).items()),
    )


def _compile(pattern: str) -> re.Pattern[str]:
    # Neighbouring ** are one, and each is possessive-like by construction: between literals a regex of this shape is at worst
    # quadratic in the path, which has few segments.
    parts: list[str] = []
    previous = ""
    for segment in pattern.strip("/").split("/"):
        if segment == "**":
            if previous != "**":
                parts.append("(?:/[^/]+)*")
        elif segment == "*":
            parts.append("/[^/]+")
        else:
            parts.append("/" + re.escape(segment))
        previous = segment
    return re.compile("".join(parts))


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _malformed(why: str) -> Unauthenticated:
    return Unauthenticated(f"The token's acl is malformed: {why}.")
