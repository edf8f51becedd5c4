"""Input and output of reads: pages, ranges, slices, and the access of the reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.models import ACTIVE, MemberState
from conversation_kit.domain.values.checks import to_json
from conversation_kit.domain.values.immutable import immutable

T = TypeVar("T")


def _check(size: int, index: int) -> None:
    if type(size) is int and size > 0 and type(index) is int and index >= 0:
        return
    for field, value, least in (("size", size, 1), ("index", index, 0)):
        if type(value) is not int or value < least:
            raise InvalidInput({field: f"must be a whole number, {least} or more, not {value!r:.60}"})


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list that are wanted.

    ``index`` is a zero-based row offset, not a page number. ``start`` is inclusive, ``end`` exclusive; both
    compare with the time of creation, which is also the order. Lists of members and memberships do not look at them.
    With ``max_bytes`` a page ends before the row with which it would have about more bytes of JSON than that, as ``fitting`` of
    ``row_bytes`` has it: it may have fewer rows than ``size``, and the next one begins after those.
    """

    size: int = 100
    index: int = 0
    descending: bool = False
    start: datetime | None = None
    end: datetime | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        _check(self.size, self.index)
        for field, value in (("start", self.start), ("end", self.end)):
            if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
                raise InvalidInput({field: f"must be a datetime with a time zone, not {value!r:.60}"})

    def of(self, rows: Sequence[T]) -> Slice[T]:
        """Return the page of a list that has these rows, in their order."""
        found = rows[self.index : self.index + self.size]
        if self.max_bytes is not None:
            found = found[: fitting(map(row_bytes, found), self.max_bytes)]
        return Slice(found, len(rows))


def member_states(given: MemberState | str | Iterable[MemberState | str] | None) -> frozenset[MemberState] | None:
    """Return one state or several as a filter of members, ``None`` for no filter.

    Raises ``InvalidInput``.
    """
    if given is None:
        return None
    try:
        states = frozenset(map(MemberState, (given,) if isinstance(given, str) else given))
    except (TypeError, ValueError):
        states = frozenset()
    if not states:
        raise InvalidInput({"state": f"must be one or several of {', '.join(MemberState)}"})
    return states


MAX_PAGE = 1_000_000
"""Bytes of JSON on the longest page that anybody gets who does not say how long it may be, apart from calls of the host."""

RECEIPT_BYTES = 80
"""Bytes that a receipt counts for on a page with a limit in bytes: a member's id and a time, with their quotation marks."""


ROW_BYTES = 1_000
"""Bytes that a row of a list counts for, beside the JSON values in it: ids, names, times."""


def row_bytes(row: Any) -> int:
    """Estimate the bytes of a row of a list as JSON: ``ROW_BYTES`` and its objects and arrays; of a pair those of both."""
    if isinstance(row, tuple):
        return sum(map(row_bytes, row))
    values = [getattr(row, field.name) for field in fields(row)]
    return ROW_BYTES + sum(len(to_json(value).encode()) for value in values if isinstance(value, Mapping | list | tuple))


def fitting(sizes: Iterable[int], most: int) -> int:
    """Return the number of sizes, from the first one on, that add up to ``most`` or less; at least one, if there is one."""
    total = count = 0
    for size in sizes:
        total += size
        if count and total > most:
            break
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class EventRange:
    """Events of a conversation that are wanted: ids from ``start_id`` to ``end_id``, both inclusive.

    With ``max_bytes`` a page ends before the event with which it would have more bytes of JSON than that, as ``fitting`` has it.
    """

    size: int = 100
    index: int = 0
    descending: bool = False
    start_id: int | None = None
    end_id: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        _check(self.size, self.index)
        if self.start_id is None and self.end_id is None:
            return
        for field, value in (("start_id", self.start_id), ("end_id", self.end_id)):
            if value is not None and type(value) is not int:
                raise InvalidInput({field: f"must be the id of an event, a number, not {value!r:.60}"})

    def ids(self, last_id: int) -> range:
        """Return the ids of this page in a log that ends with ``last_id``: there are no holes, so a page is found wherever it lies."""
        first = max(self.start_id or 1, 1)
        last = last_id if self.end_id is None else min(self.end_id, last_id)
        ids = range(last, first - 1, -1) if self.descending else range(first, last + 1)
        return ids[self.index : self.index + self.size]


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of a list and the number of all that match, before paging."""

    items: Sequence[T]
    total: int


@immutable
class Access:
    """Filter that every read of a conversation applies, made for one reader.

    ``user_name`` ``None`` sees the whole application. Otherwise the user must be a member of the conversation in one
    of ``states``, or (where ``creator`` says so) have created it; ``unrestricted`` lifts this, and only has the user exist.
    ``now`` decides what has expired, ``issued_at`` whether the credentials are still the user's.
    Apply it with ``domain.rules.check_access``, which raises the right error.
    """

    application_id: str
    now: datetime
    user_name: str | None = None
    states: frozenset[MemberState] = ACTIVE
    creator: bool = True
    issued_at: datetime | None = None
    unrestricted: bool = False
