"""Rows that somebody else holds for longer than we wait, so that the changes of other rows need not wait for them as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Column, Connection, Select
from sqlalchemy.exc import DBAPIError

from conversation_kit_sql.database.compiled import CompiledStatement, run
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.database.errors import is_locked, is_out_of_time
from conversation_kit_sql.queries.statements import Statements, sought
from conversation_kit_sql.workers.work_queue import Job

Writing: TypeAlias = Callable[[], AbstractContextManager[Connection]]
"""Function that begins a transaction that writes."""

Row: TypeAlias = tuple[str, str, str]
"""Kind of a row (a key of ``LockedConversations._locks``), its application, and its id or name."""

QUEUE_SECONDS = 0.1
"""Seconds that we stand in line for a row that is locked right now, to see whether it moves on. All together, if there are several."""

LEAST_QUEUE_SECONDS = 0.01

TRUST_SECONDS = 1.0
"""Seconds that a row that did not become free is taken for held whenever it is locked. As long as clients wait to try again."""

FORGET_SECONDS = 60.0
"""Seconds for which a row or a conversation is remembered to which nobody writes any more."""


@dataclass(frozen=True, slots=True)
class _Lock:
    """The statements on rows of one kind: which exist, which nobody has locked, and the lock itself, which waits."""

    told: str
    there: CompiledStatement
    free: CompiledStatement
    lock: CompiledStatement


class LockedConversations:
    """Memory of the rows whose lock was not to be had. Used by one thread at a time.

    A row that is locked at one moment is not held: a neighbour that writes to it has it for a millisecond, again and again. It is held if
    it is locked and does not become ours while we stand in line for it.
    """

    def __init__(self, statements: Statements) -> None:
        conversation, user = statements.tables.conversation, statements.tables.user
        self._locks = {
            "conversation": _Lock("conversation", *_looks(conversation.c.id), statements.lock_conversations),
            "user": _Lock("user", *_looks(user.c.id), statements.hold_users),
            "changed user": _Lock("user", *_looks(user.c.id), statements.lock_users),
            "changed user name": _Lock("user", *_looks(user.c.name), statements.lock_users_named),
            "user name": _Lock("user", *_looks(user.c.name), statements.hold_users_named),
        }
        self.trusted: dict[Row, float] = {}
        """The rows that are held, and until when that need not be found out anew."""

    def concerns(self, jobs: Sequence[Job[Any]]) -> bool:
        """Tell whether some of these changes need a row that is remembered."""
        return any(row in self.trusted for job in jobs for row in _rows(job))

    def look(self, writing: Writing, jobs: Sequence[Job[Any]], *, remembered: bool) -> list[tuple[Job[Any], str]]:
        """Return those of these changes that need a row that is held right now, each with a sentence about that row.

        With ``remembered`` only rows that were held before are looked at. Raises what the database raises.
        """
        rows = {row for job in jobs for row in _rows(job) if not remembered or row in self.trusted}
        with writing() as connection:
            locked = self._locked(connection, rows)
        for row in rows - locked:
            self.trusted.pop(row, None)
        now = time.monotonic()
        unknown = sorted(row for row in locked if self.trusted.get(row, 0.0) < now)
        if unknown:
            # Nobody may ever ask for them again, and then nothing else removes them.
            self.trusted = {row: until for row, until in self.trusted.items() if now < until + FORGET_SECONDS}
        for row in unknown:
            if self._moves_on(writing, row, max(QUEUE_SECONDS / len(unknown), LEAST_QUEUE_SECONDS)):
                self.trusted.pop(row, None)
                locked.discard(row)
            else:
                self.trusted[row] = time.monotonic() + TRUST_SECONDS
        waiting = ((job, next((row for row in _rows(job) if row in locked), None)) for job in jobs)
        return [(job, self._sentence(row)) for job, row in waiting if row is not None]

    def _locked(self, connection: Connection, rows: set[Row]) -> set[Row]:
        """Return the rows that somebody has locked at this moment; wait for nobody."""
        locked: set[Row] = set()
        for kind, application_id in sorted({row[:2] for row in rows}):
            lock, keys = self._locks[kind], sorted((row[2],) for row in rows if row[:2] == (kind, application_id))
            there = {found[0] for found in lock.there.rows(connection, keys, application_id)}
            free = {found[0] for found in lock.free.rows(connection, keys, application_id)}
            locked.update((kind, application_id, key) for key in there - free)
        return locked

    def _moves_on(self, writing: Writing, row: Row, seconds: float) -> bool:
        """Tell whether the row becomes ours when we stand in line for it for so long."""
        kind, application_id, key = row
        with writing() as connection:
            try:
                text, parameters = self._locks[kind].lock.of(connection, [(key,)], application_id)
                run(connection, [(dialect_of(connection).queueing(connection, seconds) + text, parameters)])
            except DBAPIError as error:
                if is_locked(error) or is_out_of_time(error):
                    return False
                raise
        return True

    def _sentence(self, row: Row) -> str:
        return f"Somebody else has locked the {self._locks[row[0]].told} {row[2]!r} for too long."


def _looks(key: Column[Any]) -> tuple[CompiledStatement, CompiledStatement]:
    """Return two statements: one finds which of these rows there are, the other which of them nobody has locked."""

    def there(rows: int) -> Select[Any]:
        return sought(key, rows).with_only_columns(key)

    def free(rows: int) -> Select[Any]:
        return there(rows).with_for_update(skip_locked=True)

    return CompiledStatement(there, key.name), CompiledStatement(free, key.name)


def _rows(job: Job[Any]) -> Iterator[Row]:
    """Yield the rows that a change locks."""
    unit = job.unit
    if unit.conversation_id is not None:
        yield "conversation", unit.application_id, unit.conversation_id
    changed = "changed " if unit.needs.changes_user else ""
    if unit.needs.user_id is not None:
        yield f"{changed}user", unit.application_id, unit.needs.user_id
    elif unit.needs.user_name is not None:
        yield f"{changed}user name", unit.application_id, unit.needs.user_name
    if unit.needs.blocked_id is not None:
        yield "changed user", unit.application_id, unit.needs.blocked_id
