"""Usage of limits: levels that sink by themselves, and takings that go into one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.values.times import now
from conversation_kit.ports import Reading, Taking
from conversation_kit.ports.metering import settle, sunken
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.database.errors import to_tell
from conversation_kit_sql.database.retry import ATTEMPTS, Tries
from conversation_kit_sql.queries.expired import forget_expired
from conversation_kit_sql.schema.column_types import to_instant
from conversation_kit_sql.workers.work_queue import Job

FORGET_SECONDS = 1.0
"""Seconds between two looks for levels that are 0 by now."""

FORGOTTEN = 1000
"""Number of levels that are forgotten at a time."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class MeterUnit:
    """See ``Meter.take``."""

    takings: Sequence[Taking]


def take_all(connection: Connection, levels: Table, units: Sequence[MeterUnit]) -> list[Sequence[Reading]]:
    """Take what each of these wants, one after the other. Raises ``IntegrityError`` when somebody else begins with one of the keys, too."""
    keys = {(one.application_id, _mark(one.key)) for unit in units for one in unit.takings}
    found = _locked(connection, levels, keys)
    moment = _clock(connection)
    known, changed = set(found), dict[_Key, dict[str, Any]]()
    results: list[Sequence[Reading]] = []
    for unit in units:
        own = [(one.application_id, _mark(one.key)) for one in unit.takings]
        before = [found.get(key, (0.0, moment)) for key in own]
        sunk = [sunken(level, (moment - at).total_seconds(), one.rate) for (level, at), one in zip(before, unit.takings, strict=True)]
        is_enough, readings = settle(unit.takings, sunk)
        results.append(readings)
        if is_enough:
            for key, one, reading in zip(own, unit.takings, readings, strict=True):
                found[key] = reading.level, moment
                expires_at = moment + timedelta(seconds=one.rate.seconds)
                changed[key] = {"level": reading.level, "read_at": moment, "expires_at": expires_at}
    new = [{"application_id": key[0], "mark": key[1], **values} for key, values in changed.items() if key not in known]
    if new:
        connection.execute(insert(levels), new)
    for key, values in changed.items():
        if key in known:
            connection.execute(update(levels).where(levels.c.application_id == key[0], levels.c.mark == key[1]).values(values))
    return results


def take_one(connection: Connection, levels: Table, unit: MeterUnit) -> Sequence[Reading]:
    """Take what it wants in a transaction that goes on whatever comes of it."""
    for _ in range(ATTEMPTS):
        try:
            with connection.begin_nested():
                (readings,) = take_all(connection, levels, [unit])
        except IntegrityError:
            continue
        return readings
    raise AssertionError("unreachable")


class Metering:
    """Takings from the levels of one database, whose transactions begin with ``writing``. Used by one thread at a time."""

    def __init__(self, levels: Table, writing: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._levels = levels
        self._writing = writing
        self._forget_at = 0.0

    def commit(self, jobs: Sequence[Job[Any]]) -> None:
        """Carry out a group in one transaction. Settles the jobs."""
        tries = Tries()
        while True:
            decided = False
            try:
                with self._writing() as connection:
                    results = take_all(connection, self._levels, [job.unit for job in jobs])
                    self._forget(connection, jobs[0].unit.takings[0].application_id)
                    decided = True
            except Exception as error:
                # With an IntegrityError somebody else was the first with a key, which is known from now on.
                if tries.again(error, committing=decided) or (isinstance(error, IntegrityError) and tries.failed < ATTEMPTS):
                    continue
                for job in jobs:
                    job.fail(to_tell(error, committing=decided))
            else:
                for job, result in zip(jobs, results, strict=True):
                    job.succeed(result)
            return

    def _forget(self, connection: Connection, application_id: str) -> None:
        """Remove once in a while what is 0."""
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + FORGET_SECONDS
        forget_expired(connection, self._levels, application_id, _clock(connection), most=FORGOTTEN)


def _mark(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _locked(connection: Connection, levels: Table, keys: set[_Key]) -> dict[_Key, tuple[float, datetime]]:
    """Return the levels of these keys that there are, with their moments, and keep others from changing them."""
    found: dict[_Key, tuple[float, datetime]] = {}
    for application_id in sorted({key[0] for key in keys}):
        marks = sorted(key[1] for key in keys if key[0] == application_id)
        columns = levels.c.mark, levels.c.level, levels.c.read_at
        # In the order of the marks, so that two processes do not wait for each other.
        wanted = select(*columns).where(levels.c.application_id == application_id, levels.c.mark.in_(marks)).order_by(levels.c.mark)
        for mark, level, read_at in connection.execute(wanted.with_for_update()):
            found[application_id, mark] = level, read_at
    return found


def _clock(connection: Connection) -> datetime:
    """Return the time, by a clock that all processes share: that of the server, or of the machine where there is none."""
    clock = dialect_of(connection).clock
    if clock is None:
        return now()
    return to_instant(int(connection.exec_driver_sql(f"SELECT {clock}").scalar_one()))
