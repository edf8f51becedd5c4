"""Statements that insert or replace rows, many at once where that is what happens for every message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Insert, Table, Update, bindparam, case, insert, update

from conversation_kit_sql.database.compiled import asked


def insert_rows(table: Table, rows: int) -> Insert:
    """Insert so many rows, with all columns of the table."""
    names = [column.name for column in table.c if column.name != "application_id"]
    values: list[dict[str, Any]] = [{name: bindparam(f"{name}_{row}") for name in names} for row in range(rows)]
    return insert(table).values([{"application_id": bindparam("a"), **row} for row in values])


def move_on(conversation: Table, rows: int) -> Update:
    """Set the sequence numbers and the counts of messages of many conversations."""
    ids = _each("id", rows, conversation.c.id)
    numbers, messages = _each("number", rows, conversation.c.sequence_number), _each("messages", rows, conversation.c.messages)
    those = [conversation.c.id == id for id in ids]
    where = (conversation.c.application_id == bindparam("a"), conversation.c.id.in_(ids))
    return update(conversation).where(*where).values(sequence_number=_by_row(those, numbers), messages=_by_row(those, messages))


def move_pointers(member: Table, rows: int) -> Update:
    """Set the read pointers of many members."""
    c = member.c
    types = {"conversation": c.conversation_id.type, "id": c.id.type, "seen": c.seen.type, "messages": c.seen_messages.type}
    # A table of one row would cost more than the update.
    wanted: Any = asked(rows, **types).c if rows > 1 else {name: bindparam(f"{name}_0", type_=types[name]) for name in types}
    moved = update(member).where(c.application_id == bindparam("a"), c.conversation_id == wanted["conversation"], c.id == wanted["id"])
    return moved.values(seen=wanted["seen"], seen_messages=wanted["messages"])


def _each(name: str, rows: int, column: Column[Any]) -> list[Any]:
    """Return a parameter for each row."""
    return [bindparam(f"{name}_{row}", type_=column.type) for row in range(rows)]


def _by_row(those: Sequence[Any], values: Sequence[Any]) -> Any:
    """Return the n-th value for the row that is the n-th of ``those``."""
    return case(*zip(those, values, strict=True)) if len(values) > 1 else values[0]


def update_rows(table: Table, *key: str, columns: Sequence[str] = ()) -> Update:
    """Replace ``columns`` (default: all) of a row by its key, whose parameters have ``key_`` before their names."""
    names = ("application_id", *key)
    where = [table.c[name] == bindparam(f"key_{name}") for name in names]
    wanted = columns or [column.name for column in table.c if column.name not in names]
    return update(table).where(*where).values({name: bindparam(name) for name in wanted})
