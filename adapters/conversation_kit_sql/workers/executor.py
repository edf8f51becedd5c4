"""Transactions in worker threads, in groups.

Writes wait in one queue and are committed together. Reads have several queues beside each other, but on SQLite one: there it is
Python that takes the time, and threads only take it from each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import Connection

from conversation_kit.domain.errors import RequestError
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.database.errors import is_broken, is_conflict, unavailable
from conversation_kit_sql.database.retry import ATTEMPTS, pause
from conversation_kit_sql.workers.work_queue import Job, LoopQueues, SpareWork, WorkQueue

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Grouping:
    """Numbers of units of work that go together."""

    writes: int = 512
    """Number of writes that are committed together at most."""
    gather_seconds: float = 0.0001
    """Seconds that writes gather while many come: a commit takes longer than that, and each has one more to share it."""
    reads: int = 16
    """Number of reads that go together: enough to share the way to the thread, and few enough for the first not to wait long for others."""


ALONE = Grouping(writes=1, gather_seconds=0.0, reads=1)
"""Each unit goes by itself."""


@dataclass(slots=True)
class Read:
    """Work that reads. With ``snapshot`` its statements all see the same instant, which a single one does by itself."""

    work: Callable[[Connection], Any]
    snapshot: bool


@dataclass(slots=True)
class Question:
    """Read that goes with others: ``answer`` takes all ``asked`` that wait, and returns or gives back as an error what each gets.

    It is one statement, or several that each answer some of them wholly.
    """

    answer: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    asked: Any


class Executor(Generic[U]):
    """Executor of transactions on a database. ``commit`` carries out a batch, in the transactions it chooses, and settles every job.

    ``spare`` is done while nothing waits to be written.
    """

    def __init__(
        self,
        database: Database,
        commit: Callable[[Sequence[Job[U]]], None],
        spare: SpareWork,
        grouping: Grouping = Grouping(),
    ) -> None:
        self._database = database
        self.writes: LoopQueues[U] = LoopQueues(
            lambda: WorkQueue(commit, grouping.writes, gather_seconds=grouping.gather_seconds, spare=spare)
        )
        """Queues whose jobs are committed, together with whatever waits."""
        # Questions have one queue, so that as many of them as can be meet.
        self._questions, *reads = [self._new_reads(grouping.reads) for _ in range(database.dialect.readers)]
        self._reads = reads or [self._questions]

    def _new_reads(self, most: int) -> LoopQueues[Read | Question]:
        return LoopQueues(lambda: WorkQueue(self._read_batch, most))

    def stats(self) -> dict[str, int]:
        """Return the number of reads and of writes that wait, in all event loops; a group that is under way counts as one."""
        return {"reads": sum(queues.load() for queues in {self._questions, *self._reads}), "writes": self.writes.load()}

    def stop(self) -> None:
        """Let the threads end, after what they have been asked to do."""
        for queues in {self._questions, *self._reads}:
            queues.stop()
        self.writes.stop()

    async def read(self, unit: Read | Question) -> Any:
        """Carry out ``unit`` and return what it returns. Raises ``StorageUnavailable``."""
        if isinstance(unit, Question):
            return await self._questions.join(unit)
        return await min((queues.here() for queues in self._reads), key=WorkQueue.load).join(unit)

    def _read_batch(self, jobs: Sequence[Job[Read | Question]]) -> None:
        left = deque(_steps(jobs))
        failed: _Step | None = None
        tries = 0
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
                tries = tries + 1 if current is failed else 1
                failed = current
                # A connection that broke while nobody used it says so to the first one who does, and a read may be done twice.
                if is_broken(error) and tries == 1:
                    left.appendleft(current)
                elif is_conflict(error) and tries < ATTEMPTS:
                    pause(tries)
                    left.appendleft(current)
                else:
                    for job in current:
                        job.fail(error)


_Step: TypeAlias = Sequence[Job[Any]]
"""Jobs that are read in one go: one ``Read``, or all ``Question``s to the same."""


def _steps(jobs: Sequence[Job[Read | Question]]) -> Iterator[_Step]:
    """Yield the questions first, because they need no transaction."""
    questions: dict[Any, list[Job[Any]]] = {}
    reads: list[_Step] = []
    for job in jobs:
        if isinstance(job.unit, Question):
            questions.setdefault(job.unit.answer, []).append(job)
        else:
            reads.append([job])
    yield from questions.values()
    yield from reads


def _answer(step: _Step, connection: Connection) -> None:
    unit = step[0].unit
    if isinstance(unit, Question):
        for job, found in zip(step, unit.answer(connection, [one.unit.asked for one in step]), strict=True):
            if isinstance(found, RequestError):
                job.fail(found)
            else:
                job.succeed(found)
        return
    try:
        step[0].succeed(unit.work(connection))
    except RequestError as error:
        step[0].fail(error)
