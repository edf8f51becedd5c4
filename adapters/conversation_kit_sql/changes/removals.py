"""Conversations that are gone and whose rows are still to be removed: a few at a time, so that nobody waits for long."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, insert, select, update

from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.queries.statements import Statements
from conversation_kit_sql.schema.tables import Tables

STEP_SECONDS = 0.02
"""Seconds that one step is meant to take, which others wait for at most."""

FEWEST, MOST = 250, 4000
"""Rows of a table that one step removes, at least and at most; in between it is as many as go in ``STEP_SECONDS``."""

RESTS = 3
"""Multiple of its own length for which a step is not followed by another one while others wait."""

LOCKED_SECONDS = 1.0
"""Seconds until the next look for rows that somebody else is at."""

LOOK_SECONDS = 60.0
"""Seconds between two looks of a writer for what another process has left, because it was killed or has no time."""

log = logging.getLogger("conversation_kit_sql")


class Removals:
    """Removes, in steps of a transaction each, the rows of conversations that are gone.

    A conversation is gone for everybody once its own row is removed. Where its log ends is then noted in a table of its own, in the same
    transaction, so that whoever comes next goes on: a process that was killed leaves nothing behind for long. Several processes never wait
    for each other. Methods block, and are for the one thread that writes at a time.
    """

    def __init__(self, tables: Tables, database: Database) -> None:
        self._database = database
        self._rows = Rows(tables)
        self._most = 1000
        self.due = 0.0
        """Time, of the monotonic clock, from which on there may be something to do. At first another process may have left it."""
        self._rest_until = 0.0

    def expect(self) -> None:
        """Note that a conversation was removed just now."""
        self.due = 0.0

    def beside(self) -> None:
        """Make a step if it is time for one, though others wait: at most a quarter of the time goes into steps."""
        if time.monotonic() >= self._rest_until:
            self.step()

    def step(self) -> bool:
        """Make a step, unless somebody else writes; return whether there is more to do."""
        # Who writes meanwhile has spare time afterwards, and may wait for what this thread is asked to do next.
        if not self._database.writer.acquire(blocking=False):
            return False
        try:
            return self._step()
        finally:
            self._database.writer.release()

    def _step(self) -> bool:
        began = time.monotonic()
        try:
            with self._database.writing() as connection:
                removed = self._rows.remove(connection, self._most)
                self._database.written += removed or 0
        except Exception as error:
            # Nobody waits for it, and all that is left is found again.
            if not isinstance(error, StorageUnavailable):
                log.warning("Rows of deleted conversations could not be removed now; they will be later.", exc_info=error)
            removed = None
        now = time.monotonic()
        self._rest_until = now + RESTS * (now - began)
        if removed:
            self.due = 0.0
            self._adapt(now - began)
            return True
        self.due = now + (LOCKED_SECONDS if removed == 0 else LOOK_SECONDS)
        return False

    def _adapt(self, seconds: float) -> None:
        if seconds > STEP_SECONDS * 1.5:
            self._most = max(self._most // 2, FEWEST)
        elif seconds < STEP_SECONDS / 2:
            self._most = min(self._most * 2, MOST)


class Rows:
    """The statements."""

    def __init__(self, tables: Tables) -> None:
        removal, receipt = tables.removal, tables.receipt
        self._next = select(removal).limit(1).with_for_update(skip_locked=True)
        self._any = select(removal.c.conversation_id).limit(1)
        self._go_on = update(removal).where(*_of(removal)).values(events=bindparam("left"))
        self._end = delete(removal).where(*_of(removal))
        # One statement cannot delete a number of rows in all databases, so these find out where to stop.
        receipts = (*_of(receipt), receipt.c.event_id.between(bindparam("first"), bindparam("last")))
        before = select(receipt.c.event_id).where(*receipts).order_by(receipt.c.event_id.desc())
        self._receipt_before = before.limit(1).offset(bindparam("most"))
        self._of_events = [
            delete(event_id.table).where(*_of(event_id.table), event_id.between(bindparam("first"), bindparam("last")))
            for event_id in (receipt.c.event_id, tables.deletion.c.event_id, tables.event.c.id)
        ]
        self._others = [_Others(key) for key in (tables.member.c.id, tables.exclusion.c.user_id)]

    def remove(self, connection: Connection, most: int) -> int | None:
        """Remove some rows of a conversation that is gone, and return how many about.

        ``None`` if there is nothing to do, and 0 if others are at all that there is, or have been until they were killed.
        From the last event to the first one and then all else: what was removed is never looked through again.
        """
        row = connection.execute(self._next).first()
        if row is None:
            return None if connection.execute(self._any).first() is None else 0
        of = {"a": row.application_id, "c": row.conversation_id}
        if row.events > 0:
            first = max(row.events - most + 1, 1)
            before = connection.execute(self._receipt_before, {**of, "first": first, "last": row.events, "most": most}).scalar()
            if before is not None:
                first = min(before + 1, row.events)
            for statement in self._of_events:
                connection.execute(statement, {**of, "first": first, "last": row.events})
            connection.execute(self._go_on, {**of, "left": first - 1})
            return int(row.events - first + 1)
        if all(others.remove(connection, of, most) for others in self._others):
            connection.execute(self._end, of)
        return most


class _Others:
    """The rows of a conversation in a table where they have no numbers, by what tells them apart."""

    def __init__(self, key: Column[Any]) -> None:
        of = _of(key.table)
        self._stop = select(key).where(*of).order_by(key).limit(1).offset(bindparam("most"))
        self._all = delete(key.table).where(*of)
        self._before = self._all.where(key < bindparam("stop"))

    def remove(self, connection: Connection, of: dict[str, Any], most: int) -> bool:
        """Remove at most so many; return whether that was all."""
        stop = connection.execute(self._stop, {**of, "most": most}).scalar()
        if stop is None:
            connection.execute(self._all, of)
        else:
            connection.execute(self._before, {**of, "stop": stop})
        return stop is None


def _of(table: Any) -> tuple[Any, Any]:
    """Return the conditions that select the rows of a conversation."""
    return table.c.application_id == bindparam("a"), table.c.conversation_id == bindparam("c")


def begin(connection: Connection, tables: Tables, application_id: str, destroyed: Sequence[tuple[str, int]]) -> None:
    """Let conversations be gone, and note how many events each of them had; the rest is for ``Removals``."""
    table = tables.conversation
    gone = delete(table).where(table.c.application_id == bindparam("a"), table.c.id == bindparam("c"))
    connection.execute(gone, [{"a": application_id, "c": id} for id, _ in destroyed])
    rows = [{"application_id": application_id, "conversation_id": id, "events": events} for id, events in destroyed]
    connection.execute(insert(tables.removal), rows)


def finish(connection: Connection, statements: Statements, application_id: str, conversation_id: str) -> None:
    """Remove what is left of a conversation that had this id, before there is one again, as when an import is begun anew.

    Else the new one would have the old members, and later steps would remove what is new.
    """
    if not statements.removal.found(connection, application_id, conversation_id):
        return
    tables = statements.tables
    for table in (tables.receipt, tables.deletion, tables.event, tables.member, tables.exclusion, tables.removal):
        connection.execute(delete(table).where(*_of(table)), {"a": application_id, "c": conversation_id})
