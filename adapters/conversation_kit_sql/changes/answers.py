"""Answers that are kept in the transaction of the change that they are of."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import key_in_use
from conversation_kit.domain.values.answers import Answer
from conversation_kit_sql.queries.expired import forget_expired
from conversation_kit_sql.queries.rows import to_row

FORGOTTEN = 100
"""Number of answers that are forgotten at a time, once they have expired: many more than are kept at a time."""


def keep(connection: Connection, table: Table, application_id: str, answers: Sequence[Answer]) -> None:
    """Insert answers, and forget some that have expired. Raises ``key_in_use`` for a mark that is there, also in another transaction.

    They go in by the order of their marks, so that two processes that keep the same ones never wait for each other.
    """
    now = max(answer.created for answer in answers)
    forget_expired(connection, table, application_id, now, most=FORGOTTEN, own=[answer.mark for answer in answers])
    rows = [to_row(answer, application_id=application_id) for answer in sorted(answers, key=lambda answer: answer.mark)]
    try:
        connection.execute(insert(table), rows)
    except IntegrityError as error:
        raise key_in_use() from error
