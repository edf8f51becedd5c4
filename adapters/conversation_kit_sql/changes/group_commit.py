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
from conversation_kit_sql.changes.apply import ChangeUnit, carry_out
from conversation_kit_sql.changes.contended import ALONE_SECONDS, ContendedConversations, Place, by_place, place_of
from conversation_kit_sql.changes.locked import LockedConversations
from conversation_kit_sql.changes.metering import Metering, MeterUnit
from conversation_kit_sql.changes.removals import Removals
from conversation_kit_sql.changes.spending import SpendUnit, commit_spends
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.database.errors import UNAVAILABLE, is_locked, to_tell, unavailable, unknown_outcome
from conversation_kit_sql.database.retry import Tries
from conversation_kit_sql.database.write_lock import LOCK_SECONDS, overdue
from conversation_kit_sql.queries.statements import Statements
from conversation_kit_sql.workers.work_queue import Job


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """A write that goes by itself; ``place`` is the one that it changes, if it is a change."""

    work: Callable[[Connection], Any]
    place: Place | None = None


class Commits:
    """Committer of batches of writes, which settles their jobs. Used by one thread at a time.

    It begins the transactions of ``database``. With ``remembers_scenes`` a group need not read what the last one saw and wrote, if the
    database can tell that this still holds.
    """

    def __init__(
        self,
        statements: Statements,
        removals: Removals,
        database: Database,
        *,
        remembers_scenes: bool,
    ) -> None:
        self._statements = statements
        self._removals = removals
        self._database = database
        self.locked = LockedConversations(statements)
        self.contended = ContendedConversations()
        self._remembers_scenes = remembers_scenes
        self._metering = Metering(statements.tables.meter, database.writing)

    def commit(self, batch: Sequence[Job[Any]]) -> None:
        """Carry out a batch: all changes of conversations in one transaction, so all others, all that is spent and metered; the rest alone.

        Changes of conversations in which somebody holds a row come last of the changes, those of each in a transaction of its own.
        Raises ``StorageUnavailable``, of jobs that are not settled.
        """
        writer = self._database.writer
        if not writer.acquire(timeout=LOCK_SECONDS):
            raise overdue()
        try:
            self._commit(batch)
        except Exception:
            with unavailable():
                raise
        finally:
            writer.release()

    def _commit(self, batch: Sequence[Job[Any]]) -> None:
        in_conversations: list[Job[Any]] = []
        others: list[Job[Any]] = []
        contended: list[Job[Any]] = []
        spends: list[Job[Any]] = []
        takings: list[Job[Any]] = []
        works: list[Job[Any]] = []
        for job in batch:
            unit = job.unit
            if not isinstance(unit, ChangeUnit):
                (spends if isinstance(unit, SpendUnit) else takings if isinstance(unit, MeterUnit) else works).append(job)
            elif self.contended.failed and place_of(job) in self.contended:
                contended.append(job)
            else:
                (others if unit.conversation_id is None else in_conversations).append(job)
        # Apart, for the first hold users for each other while the others change them: together they could wait for another process in turn.
        if in_conversations:
            self._commit_changes(in_conversations)
        if others:
            self._commit_changes(others)
        if contended:
            self._commit_apart(by_place(contended))
        if spends:
            commit_spends(spends, self._database.writing, self._statements.tables.spent)
        if takings:
            self._metering.commit(takings)
        for job in works:
            self._commit_work(job)
        self._database.written += len(batch)
        if self._removals.due <= time.monotonic():
            self._removals.beside()

    def _commit_changes(self, jobs: Sequence[Job[Any]], contended_place: Place | None = None) -> None:
        """Carry out changes in one transaction; with ``contended_place`` they are all there, and wait for locks a moment only."""
        if self.locked.trusted and self.locked.concerns(jobs):
            jobs = self._without_locked(jobs, remembered=True)
            if not jobs:
                return
        decided = False

        def in_doubt() -> None:
            nonlocal decided
            decided = True

        tries = Tries()
        while True:
            decided = False
            try:
                with self._database.writing() as connection:
                    scenes, self._database.note = self._database.note, {}
                    with self.contended.hurried(connection, contended_place) if contended_place is not None else nullcontext():
                        outcomes = carry_out(connection, self._statements, jobs, in_doubt, scenes)
                    decided = True
            except Exception as error:
                if tries.again(error, committing=decided):
                    continue
                self._settle_failed(jobs, error, contended_place, committing=decided)
                return
            break
        if self._remembers_scenes:
            self._database.note = scenes
        if contended_place is not None and any(failure is None for _, _, failure in outcomes):
            self.contended.clear(contended_place)
        for job, changes, failure in outcomes:
            if failure is not None:
                job.fail(failure)
                continue
            job.succeed(changes)
            if changes.destroyed:
                self._removals.expect()

    def _settle_failed(self, jobs: Sequence[Job[Any]], error: Exception, contended_place: Place | None, *, committing: bool) -> None:
        """Settle changes whose transaction failed, some of them maybe in others."""
        if is_locked(error) and not committing:
            self._part(jobs, contended_place)
        elif len(jobs) == 1 or isinstance(error, UNAVAILABLE) or (committing and unknown_outcome(error) is not None):
            # What became of a commit that failed may not be known, and then nothing is tried twice after it.
            for job in jobs:
                job.fail(to_tell(error, committing=committing))
        else:
            # One of them is at fault: alone, each gets its own answer.
            for job in jobs:
                self._commit_changes([job], contended_place)

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
        tries = Tries()
        while True:
            decided = False
            try:
                with self._database.writing() as connection:
                    with self.contended.hurried(connection, place) if place is not None and place in self.contended else nullcontext():
                        result = unit.work(connection)
                    decided = True
            except Exception as error:
                if tries.again(error, committing=decided):
                    continue
                if place is not None and is_locked(error) and not decided:
                    self.contended.add(place)
                job.fail(to_tell(error, committing=decided))
                return
            break
        if place is not None:
            self.contended.clear(place)
        job.succeed(result)
        if isinstance(result, Changes) and result.destroyed:
            self._removals.expect()
