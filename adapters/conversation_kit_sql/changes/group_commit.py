"""Writes that wait are carried out: which of them in one transaction, what is tried again, and what each is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit.domain.scene import Changes
from conversation_kit_sql.changes.apply import ChangeUnit, Outcome, carry_out
from conversation_kit_sql.changes.contended import ALONE_SECONDS, ContendedConversations, Place, by_place
from conversation_kit_sql.changes.locked import LockedConversations
from conversation_kit_sql.changes.removals import Removals
from conversation_kit_sql.changes.scene_cache import SceneCache
from conversation_kit_sql.changes.spending import SpendUnit, commit_spends
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.database.errors import UNAVAILABLE, is_locked, to_tell, unknown_outcome
from conversation_kit_sql.database.retry import patiently
from conversation_kit_sql.queries.statements import Statements
from conversation_kit_sql.workers.work_queue import Job


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """A write that goes by itself; ``place`` is the one that it changes, if it is a change."""

    work: Callable[[Connection], Any]
    place: Place | None = None


class Commits:
    """Committer of batches of writes, which settles their jobs. Used by one thread at a time.

    It begins the transactions of ``database``.
    """

    def __init__(
        self,
        statements: Statements,
        removals: Removals,
        database: Database,
        scenes: SceneCache,
    ) -> None:
        self._statements = statements
        self._removals = removals
        self._database = database
        self.locked = LockedConversations(statements)
        self.contended = ContendedConversations()
        self.scenes = scenes

    def commit(self, batch: Sequence[Job[Any]]) -> None:
        """Carry out a batch: all changes of conversations in one transaction, all others in one, all that is spent in one, the rest alone.

        Changes of conversations in which somebody holds a row come last of the changes, those of each in a transaction of its own.
        """
        changes: Sequence[Job[Any]] = [job for job in batch if isinstance(job.unit, ChangeUnit)]
        contended_jobs: Mapping[Place, Sequence[Job[Any]]] = {}
        if self.contended.failed:
            changes, contended_jobs = self.contended.parted(changes)
        # Apart, for the first hold users for each other while the others change them: together they could wait for another process in turn.
        in_conversations = [job for job in changes if job.unit.conversation_id is not None]
        others = [job for job in changes if job.unit.conversation_id is None]
        for group in (in_conversations, others):
            if group:
                self._commit_changes(group)
        if contended_jobs:
            self._commit_apart(contended_jobs)
        spends = [job for job in batch if isinstance(job.unit, SpendUnit)]
        if spends:
            commit_spends(spends, self._database.writing, self._statements.tables.spent)
        for job in batch:
            if isinstance(job.unit, WorkUnit):
                self._commit_work(job)
        self._removals.beside()

    def _commit_changes(self, jobs: Sequence[Job[Any]], contended_place: Place | None = None) -> None:
        """Carry out changes in one transaction; with ``contended_place`` they are all there, and wait for locks a moment only."""
        if self.locked.trusted and self.locked.concerns(jobs):
            jobs = self._without_locked(jobs, remembered=True)
            if not jobs:
                return
        decided = False

        def decide() -> None:
            nonlocal decided
            decided = True

        def attempt() -> list[Outcome]:
            nonlocal decided
            decided = False
            with self._database.writing() as connection:
                scenes = self.scenes.take(self._database, connection)
                with self.contended.hurried(connection, contended_place) if contended_place is not None else nullcontext():
                    outcomes = carry_out(connection, self._statements, jobs, decide, scenes)
                decided = True
            self.scenes.keep(scenes)
            return outcomes

        try:
            outcomes = patiently(attempt, lambda: decided)
        except Exception as error:
            if is_locked(error) and not decided:
                self._part(jobs, contended_place)
            elif len(jobs) == 1 or isinstance(error, UNAVAILABLE) or (decided and unknown_outcome(error) is not None):
                # What became of a commit that failed may not be known, and then nothing is tried twice after it.
                for job in jobs:
                    job.fail(to_tell(error, committing=decided))
            else:
                # One of them is at fault: alone, each gets its own answer.
                for job in jobs:
                    self._commit_changes([job], contended_place)
            return
        if contended_place is not None and any(failure is None for _, _, failure in outcomes):
            self.contended.clear(contended_place)
        for job, result, failure in outcomes:
            if failure is None:
                self._succeed(job, result)
            else:
                job.fail(failure)

    def _part(self, jobs: Sequence[Job[Any]], contended_place: Place | None) -> None:
        """Carry out what needs none of the rows that somebody holds, after a lock was not to be had; the rest fails."""
        free = self._without_locked(jobs, remembered=False)
        if len(free) < len(jobs):
            if free:
                self._commit_changes(free, contended_place)
        elif contended_place is None:
            self._commit_apart(by_place(jobs))
        else:
            self.contended.add(contended_place)
            for job in jobs:
                job.fail(
                    StorageUnavailable(f"Somebody else has locked a row of {contended_place[1] or contended_place[0]!r} for too long.")
                )

    def _commit_apart(self, places: Mapping[Place, Sequence[Job[Any]]]) -> None:
        """Carry out the changes of each place in a transaction of its own; those that are not under way in time fail."""
        end = time.monotonic() + ALONE_SECONDS
        for place, jobs in self._apart(places):
            if time.monotonic() < end:
                self._commit_changes(jobs, place)
                continue
            for job in jobs:
                job.fail(StorageUnavailable("Somebody else has locked rows of so many conversations that this one's turn did not come."))

    @staticmethod
    def _apart(places: Mapping[Place, Sequence[Job[Any]]]) -> Iterator[tuple[Place, Sequence[Job[Any]]]]:
        """Yield the jobs of each place, and one by one those without a conversation, which have nothing to do with each other."""
        for place, jobs in places.items():
            if place[1] is not None:
                yield place, jobs
            else:
                yield from ((place, [job]) for job in jobs)

    def _without_locked(self, jobs: Sequence[Job[Any]], *, remembered: bool) -> Sequence[Job[Any]]:
        """Return the changes that need no row that somebody else holds; fail the others."""
        try:
            locked = self.locked.look(self._database.writing, jobs, remembered=remembered)
        except Exception:
            return jobs  # whoever goes on with them is told the same
        for job, told in locked:
            job.fail(StorageUnavailable(told))
        return [job for job in jobs if not job.finished]

    def _commit_work(self, job: Job[Any]) -> None:
        unit: WorkUnit = job.unit
        place = unit.place
        decided = False

        def attempt() -> Any:
            nonlocal decided
            decided = False
            with self._database.writing() as connection:
                with self.contended.hurried(connection, place) if place is not None and place in self.contended else nullcontext():
                    result = unit.work(connection)
                decided = True
            return result

        try:
            result = patiently(attempt, lambda: decided)
        except Exception as error:
            if place is not None and is_locked(error) and not decided:
                self.contended.add(place)
            job.fail(to_tell(error, committing=decided))
        else:
            if place is not None:
                self.contended.clear(place)
            self._succeed(job, result)

    def _succeed(self, job: Job[Any], result: Any) -> None:
        job.succeed(result)
        if isinstance(result, Changes) and result.destroyed:
            self._removals.expect()
