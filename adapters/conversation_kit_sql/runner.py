"""Transactions in worker threads, in groups.

Writes wait in one lane and are committed together. Reads have several lanes beside each other, but on SQLite one: there it is
Python that takes the time, and threads only take it from each other.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from anyio.lowlevel import RunVar
from sqlalchemy import Connection

from conversation_kit.domain.errors import RequestError
from conversation_kit_sql.connecting import READERS
from conversation_kit_sql.engines import Database
from conversation_kit_sql.failures import is_broken, is_conflict, unavailable
from conversation_kit_sql.lanes import Lane, Ticket
from conversation_kit_sql.retries import ATTEMPTS, pause

T = TypeVar("T")
U = TypeVar("U")
MAX_WRITES = 512
"""How many writes are committed together."""

GATHER_SECONDS = 0.0001
"""How long writes gather while many come: a commit takes longer than that, and each has one more to share it."""

MAX_READS = 16
"""How many reads go together: enough to share the way to the thread, and few enough for the first one not to wait long for the last."""


@dataclass(slots=True)
class Read:
    """What reads. With ``snapshot`` its statements all see the same instant, which a single one does by itself."""

    work: Callable[[Connection], Any]
    snapshot: bool


@dataclass(slots=True)
class Question:
    """What reads together with others: ``answer`` takes all ``asked`` that wait, and returns or gives back as an error what each gets.

    It is one statement, or several that each answer some of them wholly.
    """

    answer: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    asked: Any


@dataclass(slots=True)
class Lanes(Generic[U]):
    """Those of one event loop. ``questions`` is one, so that as many of them as can be meet."""

    writes: Lane[U]
    reads: list[Lane[Read | Question]]
    questions: Lane[Read | Question]


class Runner(Generic[U]):
    """Runs transactions on a database. ``commit`` carries out a batch, in the transactions it chooses, and settles every ticket."""

    def __init__(self, database: Database, commit: Callable[[Sequence[Ticket[U]]], None]) -> None:
        self._database = database
        self._commit = commit
        self._lanes: RunVar[Lanes[U]] = RunVar("conversation_kit_sql_lanes")
        self._latest = threading.local()
        self._every: weakref.WeakSet[Lane[Any]] = weakref.WeakSet()

    def _lanes_here(self) -> Lanes[U]:
        """The lane for writes and those for reads of this event loop."""
        # A RunVar looks for its loop anew each time, which takes as long as all else that a write does here. Every loop has a hook of its
        # own for asynchronous generators, and asking for that takes no time.
        hook = sys.get_asyncgen_hooks().firstiter
        latest: tuple[Any, Lanes[U]] | None = getattr(self._latest, "lanes", None)
        if latest is not None and hook is not None and latest[0] == hook:
            return latest[1]
        lanes = self._lanes.get(None)
        if lanes is None:
            readers = 1 if self._database.is_sqlite else READERS
            questions, *reads = [Lane(self._read_batch, MAX_READS) for _ in range(readers)]
            writes = Lane(self._write_batch, MAX_WRITES, gather_seconds=GATHER_SECONDS)
            lanes = Lanes(writes, reads or [questions], questions)
            self._lanes.set(lanes)
            self._every.update((lanes.writes, questions, *reads))
        self._latest.lanes = (hook, lanes)
        return lanes

    def stop(self) -> None:
        """Let the threads end, after what they have been asked to do."""
        for lane in self._every:
            lane.stop()
        # What it remembers holds the event loop, which may be the last thing that does.
        self._latest = threading.local()

    async def read(self, unit: Read | Question) -> Any:
        """Carry out ``unit`` and return what it returns. Raises ``StorageUnavailable``."""
        lanes = self._lanes_here()
        lane = lanes.questions if type(unit) is Question else min(lanes.reads, key=Lane.load)
        return await lane.join(unit)

    async def write(self, unit: U) -> Any:
        """Have ``unit`` committed, together with whatever waits, and return its result or raise its error."""
        return await self._lanes_here().writes.join(unit)

    def _write_batch(self, tickets: Sequence[Ticket[U]]) -> None:
        with self._database.writer, unavailable():
            self._commit(tickets)
            self._database.wrote(len(tickets))

    def _read_batch(self, tickets: Sequence[Ticket[Read | Question]]) -> None:
        left = deque(_steps(tickets))
        failed: _Step | None = None
        turns = 0
        while left:
            current: _Step | None = None
            try:
                with unavailable(), self._database.reading() as connection, ExitStack() as stack:
                    consistent = False
                    while left:
                        current = left.popleft()
                        unit = current[0].unit
                        if isinstance(unit, Read) and unit.snapshot and not consistent:
                            consistent = True
                            stack.enter_context(self._database.snapshot(connection))
                        _answer(current, connection)
            except Exception as error:
                if current is None:
                    raise
                # It may have spoiled the transaction, so those after it get another one.
                turns = turns + 1 if current is failed else 1
                failed = current
                # A connection that broke while nobody used it says so to the first one who does, and a read may be done twice.
                if is_broken(error) and turns == 1:
                    left.appendleft(current)
                elif is_conflict(error) and turns < ATTEMPTS:
                    pause(turns)
                    left.appendleft(current)
                else:
                    for ticket in current:
                        ticket.fail(error)


_Step: TypeAlias = Sequence[Ticket[Any]]
"""What is read in one go: one ``Read``, or all ``Question``s to the same."""


def _steps(tickets: Sequence[Ticket[Read | Question]]) -> Iterator[_Step]:
    """The questions first, because they need no transaction."""
    questions: dict[Any, list[Ticket[Any]]] = {}
    reads: list[_Step] = []
    for ticket in tickets:
        if isinstance(ticket.unit, Question):
            questions.setdefault(ticket.unit.answer, []).append(ticket)
        else:
            reads.append([ticket])
    yield from questions.values()
    yield from reads


def _answer(step: _Step, connection: Connection) -> None:
    unit = step[0].unit
    if isinstance(unit, Question):
        for ticket, found in zip(step, unit.answer(connection, [one.unit.asked for one in step]), strict=True):
            if isinstance(found, RequestError):
                ticket.fail(found)
            else:
                ticket.succeed(found)
        return
    try:
        step[0].succeed(unit.work(connection))
    except RequestError as error:
        step[0].fail(error)
