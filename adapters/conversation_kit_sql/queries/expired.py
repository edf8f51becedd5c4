"""Rows that hold for a time only, and then are forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Table, delete, select


def forget_expired(connection: Connection, table: Table, application_id: str, now: datetime, *, most: int, own: Iterable[str] = ()) -> None:
    """Delete about ``most`` rows of an application whose ``expires_at`` is not after ``now``, and those of the marks ``own`` that are so.

    Rows that others hold are left to them, or all would wait for the end of a host's transaction that has forgotten some.
    """
    of_application, is_over = table.c.application_id == application_id, table.c.expires_at <= now
    found = select(table.c.mark).where(of_application, is_over).order_by(table.c.expires_at).limit(most)
    marks = connection.execute(found.with_for_update(skip_locked=True)).scalars().all()
    if marks:
        # By key: a range would be locked where others insert.
        connection.execute(delete(table).where(of_application, table.c.mark.in_(sorted({*marks, *own})), is_over))
