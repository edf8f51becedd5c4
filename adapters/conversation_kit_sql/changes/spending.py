"""Things that can be used once only, such as a ticket: the first to come has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import IntegrityError

from conversation_kit_sql.database.errors import to_tell
from conversation_kit_sql.database.retry import Tries
from conversation_kit_sql.queries.expired import forget_expired
from conversation_kit_sql.workers.work_queue import Job

FORGOTTEN = 100
"""Number of marks that are forgotten at a time, once they are over."""


@dataclass(frozen=True, slots=True)
class SpendUnit:
    """See ``Storage.spend``."""

    application_id: str
    mark: str
    until: datetime
    now: datetime


def spend_all(connection: Connection, spent: Table, units: Sequence[SpendUnit]) -> list[bool]:
    """Return which of these are the first with their mark; earlier ones of the group count too.

    Raises ``IntegrityError`` when somebody else spends one of them at the same time.
    """
    forget_expired(connection, spent, units[0].application_id, units[0].now, most=FORGOTTEN)
    firsts: list[bool] = []
    new: dict[tuple[str, str], SpendUnit] = {}
    for unit in units:
        known = select(spent.c.mark).where(spent.c.application_id == unit.application_id, spent.c.mark == unit.mark)
        key = unit.application_id, unit.mark
        firsts.append(key not in new and connection.execute(known).first() is None)
        if firsts[-1]:
            new[key] = unit
    if new:
        rows = [{"application_id": unit.application_id, "mark": unit.mark, "expires_at": unit.until} for unit in new.values()]
        connection.execute(insert(spent), rows)
    return firsts


def commit_spends(jobs: Sequence[Job[Any]], writing: Callable[[], AbstractContextManager[Connection]], spent: Table) -> None:
    """Carry out a group in one transaction, or each alone where another process was faster with one of them. Settles the jobs."""
    tries = Tries()
    while True:
        decided = False
        try:
            with writing() as connection:
                firsts = spend_all(connection, spent, [job.unit for job in jobs])
                decided = True
        except IntegrityError:
            if len(jobs) == 1:
                jobs[0].succeed(False)
                return
            for job in jobs:
                commit_spends([job], writing, spent)
        except Exception as error:
            if tries.again(error, committing=decided):
                continue
            for job in jobs:
                job.fail(to_tell(error, committing=decided))
        else:
            for job, first in zip(jobs, firsts, strict=True):
                job.succeed(first)
        return


def spend_one(connection: Connection, spent: Table, unit: SpendUnit) -> bool:
    """Return whether it is the first, in a transaction that goes on whatever comes of it."""
    try:
        with connection.begin_nested():
            (first,) = spend_all(connection, spent, [unit])
    except IntegrityError:
        return False
    return first
