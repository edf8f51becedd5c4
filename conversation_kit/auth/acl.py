"""Access lists: which paths and methods a token is good for.

A pattern is split at ``/``: ``*`` stands for one non-empty segment, ``**`` for any number of segments, everything else for itself.
Any entry that matches the path and allows the method, and whose filters hold, grants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from conversation_kit.domain.errors import Unauthenticated

MAX_PATHS = 100
"""Patterns of one list."""

MAX_PATTERN = 500
"""Characters of one pattern."""


@dataclass(frozen=True, slots=True)
class _Entry:
    matches: Callable[[str], object]
    methods: frozenset[str] | None
    filters: tuple[tuple[str, str], ...]

    def grants(self, fields: Mapping[str, Any]) -> bool:
        return all(name in fields and _as_text(fields[name]) == value for name, value in self.filters)


class PathACL:
    """The ``acl`` claim of a token."""

    __slots__ = ("_entries", "reads_fields")

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self._entries = tuple(entries)
        self.reads_fields = any(entry.filters for entry in self._entries)

    @classmethod
    def parse(cls, claim: Any) -> PathACL:
        """Read ``{"paths": {"/*/users/**": {"methods": ["GET"], "filters": {"from": "447..."}}}}``.

        An entry without ``methods`` allows all of them, an empty list of them none. Raises ``Unauthenticated`` for what is not such
        a claim.
        """
        paths = claim.get("paths") if isinstance(claim, Mapping) else None
        if not isinstance(paths, Mapping) or len(paths) > MAX_PATHS:
            raise _malformed(f"it must be an object with at most {MAX_PATHS} paths")
        # As in an entry: a restriction that is not understood must not be taken for none.
        if len(claim) > 1:
            raise _malformed("it may hold paths only")
        return cls([_entry(pattern, rule) for pattern, rule in paths.items()])

    def permits(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        """Tell whether one of ``paths`` may be called with ``method``.

        Paths begin with ``/`` and come decoded and without their query. A filter on what is not in ``fields``, or on what is no string,
        number or boolean, does not hold.
        """
        method = method.upper()
        paths = [path.rstrip("/") for path in paths]
        for entry in self._entries:
            if entry.methods is not None and method not in entry.methods:
                continue
            for path in paths:
                if entry.matches(path):
                    if not entry.filters or entry.grants(fields):
                        return True
                    break
        return False


def _entry(pattern: Any, rule: Any) -> _Entry:
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN or not isinstance(rule, Mapping):
        raise _malformed(f"each path has at most {MAX_PATTERN} characters and an object as its value")
    # A restriction that is not understood must not be taken for none.
    if not rule.keys() <= {"methods", "filters"}:
        raise _malformed("a path's object may hold methods and filters only")
    methods, filters = rule.get("methods"), rule.get("filters", {})
    if "methods" in rule and not (isinstance(methods, list) and all(isinstance(method, str) for method in methods)):
        raise _malformed("methods must be a list of names")
    if not isinstance(filters, Mapping) or any(_as_text(value) is None for value in filters.values()):
        raise _malformed("filters must be an object of strings, numbers and booleans")
    return _Entry(
        _compile(pattern).fullmatch,
        frozenset(method.upper() for method in methods) if methods is not None else None,
        tuple((name, _as_text(value) or "") for name, value in filters.items()),
    )


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    # What stands between two ** has as many segments as it shows, so the first place where it fits is as good as any later one.
    # The atomic groups keep that place: a path that does not match costs no more than its length times the pattern's.
    between: list[list[str]] = [[]]
    for segment in pattern.removeprefix("/").rstrip("/").split("/"):
        if segment == "**":
            if between[-1] or len(between) == 1:
                between.append([])
        else:
            between[-1].append("/[^/]+" if segment == "*" else "/" + re.escape(segment))
    first, *others = ("".join(segments) for segments in between)
    if not others:
        return re.compile("" if first == "/" else first)
    middle = "".join(f"(?>(?:/[^/]*)*?{segments}(?=/|\\Z))" for segments in others[:-1])
    return re.compile(f"{first}{middle}(?:/[^/]*)*{others[-1]}")


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def _malformed(why: str) -> Unauthenticated:
    return Unauthenticated(f"The token's acl is malformed: {why}.")
