"""What a read asks for and gets: pages, ranges, slices, and whose eyes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from conversation_kit.domain.immutable import immutable
from conversation_kit.domain.models import ACTIVE, MemberState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list are wanted.

    ``index`` is a zero-based row offset, not a page number (SEMANTICS 1.1 #6). ``start`` is inclusive, ``end`` exclusive; both
    compare with the time of creation, which is also the order. Lists of members and memberships do not look at them.
    """

    size: int = 100
    index: int = 0
    descending: bool = False
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventRange:
    """Which events of a conversation are wanted: ids from ``start_id`` to ``end_id``, both inclusive."""

    size: int = 100
    index: int = 0
    descending: bool = False
    start_id: int | None = None
    end_id: int | None = None

    def ids(self, last_id: int) -> range:
        """The ids that these are in a log that ends with ``last_id``: there are no holes, so a page is found wherever it lies."""
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
    """Whose eyes read: the filter that every read of a conversation applies.

    ``user_name`` ``None`` sees the whole application. Otherwise the user must be a member of the conversation in one
    of ``states``, or (where ``creator`` says so) have created it. ``now`` decides what has expired.
    Apply it with ``domain.rules.check_access``, which raises the right error.
    """

    application_id: str
    now: datetime
    user_name: str | None = None
    states: frozenset[MemberState] = ACTIVE
    creator: bool = True
