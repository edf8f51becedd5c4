"""The query of a request: the same few are sent again and again, so what was made of them is remembered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from typing import TypeVar, TypeVarTuple
from urllib.parse import parse_qsl

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.reading import MAX_PAGE, EventRange, Page
from conversation_kit.domain.values.times import parse_instant

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PAGING = ("page_size", "record_index", "order")
DATES = ("date_start", "date_end")
EVENT_IDS = ("start_id", "end_id")

MAX_INDEX = 2**53
MAX_TOLD = 20
"""Unknown parameters that an answer names."""

REMEMBERED = 512
"""Number of queries, and of paths, that are remembered."""

LONGEST_REMEMBERED = 256
"""Bytes of a query, or characters of a path; what is longer would only fill the memory."""

_LOST_PLUS = re.compile(r"(?<=[0-9]) ([0-9]{2}:?[0-9]{2})$(?<=.{20})")
_DIGITS = re.compile(r"[0-9]{1,16}")


def remembered(function: Callable[[bytes, *Ts], T]) -> Callable[[bytes, *Ts], T]:
    """Remember what a function makes of a query that is not too long; what it raises is not remembered."""
    cached = lru_cache(maxsize=REMEMBERED)(function)

    @wraps(function)
    def look_up(query_string: bytes, /, *args: *Ts) -> T:
        if len(query_string) > LONGEST_REMEMBERED:
            return function(query_string, *args)
        return cached(query_string, *args)

    return look_up


@remembered
def parse_query(query_string: bytes) -> tuple[tuple[str, str], ...]:
    """Return the parameters in their order."""
    return tuple(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))


TOLERATED = frozenset({"access_token", "cid", "client_ref", "originating_session", "ticket", "tid"})
"""Parameters that real clients and login layers add to any request, and that ask for nothing."""


@remembered
def check_parameters(query_string: bytes, known: frozenset[str], operation: str) -> None:
    """Refuse a parameter that the operation does not have: a filter that a client believes in would be answered with everything.

    ``known`` are the operation's own and the host's. One that begins with ``_`` is a cache buster and passes. Raises ``InvalidInput``.
    """
    unknown = [name for name, _ in parse_query(query_string) if name not in known and name not in TOLERATED and name[:1] != "_"]
    if unknown:
        taken = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise InvalidInput({name[:100]: f"is no parameter of {operation}: {taken}" for name in unknown[:MAX_TOLD]})


@remembered
def parse_page(query_string: bytes, default_size: int) -> Page:
    """``page_size``, ``record_index``, ``order``, ``date_start`` and ``date_end``. Raises ``InvalidInput``."""
    query = dict(parse_query(query_string))
    return Page(
        integer(query, "page_size", default_size, least=1, most=100),
        integer(query, "record_index", 0, least=0, most=MAX_INDEX),
        _descending(query),
        _instant(query, "date_start"),
        _instant(query, "date_end"),
        MAX_PAGE,
    )


@remembered
def parse_event_range(query_string: bytes) -> EventRange:
    """``page_size``, ``record_index``, ``order``, ``start_id`` and ``end_id``. Raises ``InvalidInput``."""
    query = dict(parse_query(query_string))
    start = integer(query, "start_id", -1, least=0, most=MAX_INDEX)
    end = integer(query, "end_id", -1, least=0, most=MAX_INDEX)
    return EventRange(
        integer(query, "page_size", 100, least=1, most=100),
        integer(query, "record_index", 0, least=0, most=MAX_INDEX),
        _descending(query),
        start if start >= 0 else None,
        end if end >= 0 else None,
        MAX_PAGE,
    )


def integer(query: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    """Return a parameter that is a whole number from ``least`` to ``most``. Raises ``InvalidInput``."""
    text = query.get(name)
    if text is None:
        return default
    value = int(text) if _DIGITS.fullmatch(text) else -1
    if not least <= value <= most:
        raise InvalidInput({name: f"must be a whole number from {least} to {most}"})
    return value


def _descending(query: Mapping[str, str]) -> bool:
    order = query.get("order", "asc").lower()
    if order not in ("asc", "desc"):
        raise InvalidInput({"order": "must be asc or desc"})
    return order == "desc"


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    # An offset whose + was not percent-encoded arrives with a blank.
    text = _LOST_PLUS.sub(r"+\1", text.strip())
    try:
        return parse_instant(text)
    except ValueError as error:
        raise InvalidInput({name: "must be an ISO 8601 date or time, such as 2026-01-01T10:00:00Z, or milliseconds since 1970"}) from error
