"""Single writes, as plain functions over a connection that is in a transaction; groups of changes are in ``apply``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from conversation_kit.domain.scene import Changes
from conversation_kit.domain.values.epochs import new_epoch
from conversation_kit.ports import Reading
from conversation_kit_sql.changes.apply import ChangeUnit, carry_out
from conversation_kit_sql.changes.metering import MeterUnit, take_one
from conversation_kit_sql.changes.spending import SpendUnit, spend_one
from conversation_kit_sql.queries.statements import Statements
from conversation_kit_sql.workers.work_queue import Job


def change(connection: Connection, statements: Statements, unit: ChangeUnit) -> Changes[Any]:
    """See ``Storage.change``; this one alone."""
    ((_, changes, error),) = carry_out(connection, statements, [Job(unit)])
    if error is not None:
        raise error
    decided: Changes[Any] = changes
    return decided


def renew_epoch(connection: Connection, statements: Statements) -> str:
    """See ``Restorable.renew_epoch``."""
    table, epoch = statements.tables.epoch, new_epoch()
    connection.execute(table.delete())
    connection.execute(table.insert(), {"epoch": epoch})
    return epoch


def spend(connection: Connection, statements: Statements, unit: SpendUnit) -> bool:
    """See ``Storage.spend``; this one alone."""
    return spend_one(connection, statements.tables.spent, unit)


def take(connection: Connection, statements: Statements, unit: MeterUnit) -> Sequence[Reading]:
    """See ``Meter.take``; this one alone."""
    return take_one(connection, statements.tables.meter, unit)
