"""Conversations in which somebody holds a row, nobody knows which: their changes go alone, and wait for a moment only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from sqlalchemy import Connection

from conversation_kit_sql.changes.locked import FORGET_SECONDS, LEAST_QUEUE_SECONDS, QUEUE_SECONDS, TRUST_SECONDS
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.workers.work_queue import Job

Place: TypeAlias = tuple[str, str | None]
"""An application and a conversation; without one it is the application's users and legs."""

ALONE_SECONDS = 2.0
"""Seconds that all of these together may keep the others waiting; whose turn does not come until then fails with them."""


class ContendedConversations:
    """Memory of the conversations whose changes met a lock of somebody's. Used by one thread at a time.

    ``LockedConversations`` tells the rows that every change of a conversation needs. A change also writes rows of members, events, legs and
    others, and any of these may be locked, as by a host that updates members in a transaction of its own. No database says which one it
    was, but alone the changes of a conversation show whether it is theirs.
    """

    def __init__(self) -> None:
        self.failed: dict[Place, float] = {}
        """The time at which the changes of each met a lock last."""

    def __contains__(self, place: object) -> bool:
        """Tell whether a place is remembered."""
        return place in self.failed

    def add(self, place: Place) -> None:
        """Remember that the changes of a place met a lock just now, alone."""
        now = time.monotonic()
        self.failed = {one: failed for one, failed in self.failed.items() if now < failed + FORGET_SECONDS}
        self.failed[place] = now

    def clear(self, place: Place) -> None:
        """Forget a place whose changes went through."""
        self.failed.pop(place, None)

    def hurried(self, connection: Connection, place: Place) -> AbstractContextManager[None]:
        """Let the statements of the block, in a transaction, stand in line for a lock no longer than it takes to see that it is held."""
        known = time.monotonic() < self.failed.get(place, -TRUST_SECONDS) + TRUST_SECONDS
        return dialect_of(connection).hurried(connection, LEAST_QUEUE_SECONDS if known else QUEUE_SECONDS)


def place_of(job: Job[Any]) -> Place:
    """Return the place of a change."""
    return job.unit.application_id, job.unit.conversation_id


def by_place(jobs: Iterable[Job[Any]]) -> Mapping[Place, Sequence[Job[Any]]]:
    """Sort changes by their places."""
    places: dict[Place, list[Job[Any]]] = {}
    for job in jobs:
        places.setdefault(place_of(job), []).append(job)
    return places
