"""The query of a request: the same few are sent again and again, so what was made of them is remembered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.reading import EventRange, Page
from conversation_kit.domain.times import parse_instant

P = ParamSpec("P")
T = TypeVar("T")

MAX_INDEX = 2**53
REMEMBERED = 512
"""How many queries, and how many paths, are remembered."""

LONGEST_REMEMBERED = 256
"""Bytes of a query, or characters of a path; what is longer would only fill the memory."""

_LOST_PLUS = re.compile(r"(?<=[0-9]) ([0-9]{2}:?[0-9]{2})$(?<=.{20})")
_DIGITS = re.compile(r"[0-9]{1,16}")


def remembered(function: Callable[Concatenate[bytes, P], T]) -> Callable[Concatenate[bytes, P], T]:
    """Remember what a function makes of a query that is not too long; what it raises is not remembered."""
    cached = lru_cache(maxsize=REMEMBERED)(function)

    @wraps(function)
    def call(query_string: bytes, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if len(query_string) > LONGEST_REMEMBERED:
            return function(query_string, *args, **kwargs)
        return cached(query_string, *args, **kwargs)  # type: ignore[arg-type]

    return call


@remembered
def parse_query(query_string: bytes) -> tuple[tuple[str, str], ...]:
    """The parameters in their order."""
    return tuple(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))


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
    )


def integer(query: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    """A parameter that is a whole number from ``least`` to ``most``. Raises ``InvalidInput``."""
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
        raise InvalidInput({name: "must be an ISO 8601 date and time, such as 2026-01-01T10:00:00Z"}) from error
