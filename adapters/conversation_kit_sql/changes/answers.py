"""Answers that are kept in the transaction of the change that they are of."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import key_in_use
from conversation_kit.domain.values.answers import Answer
from conversation_kit_sql.queries.rows import to_row

FORGOTTEN = 100
"""Number of answers that are forgotten at a time, once they have expired: many more than are kept at a time."""


def keep(connection: Connection, table: Table, application_id: str, answers: Sequence[Answer]) -> None:
    """Insert answers, and forget some that have expired. Raises ``key_in_use`` for a mark that is there, also in another transaction.

    They go in by the order of their marks, so that two processes that keep the same ones never wait for each other.
    """
    now = max(answer.created for answer in answers)
    of_application = table.c.application_id == application_id
    expired = table.c.expires_at <= now
    own = [answer.mark for answer in answers]
    # What others forget is left to them, or all would wait for the end of a host's transaction that has forgotten some.
    forgotten = select(table.c.mark).where(of_application, expired).order_by(table.c.expires_at).limit(FORGOTTEN)
    over = [*connection.execute(forgotten.with_for_update(skip_locked=True)).scalars()]
    if over:
        # By key: a range would be locked where others insert.
        connection.execute(delete(table).where(of_application, table.c.mark.in_(sorted({*over, *own})), expired))
    rows = [to_row(answer, application_id=application_id) for answer in sorted(answers, key=lambda answer: answer.mark)]
    try:
        connection.execute(insert(table), rows)
    except IntegrityError as error:
        raise key_in_use() from error
