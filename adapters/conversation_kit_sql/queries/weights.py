"""Conditions that tell whether events may be too much for one page, without reading more of them than a page may hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Select, exists, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from conversation_kit.domain.reading import RECEIPT_BYTES, ROW_BYTES, EventRange
from conversation_kit.domain.values.checks import MAX_JSON
from conversation_kit_sql.database.compiled import fixed
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.schema.column_types import Json
from conversation_kit_sql.schema.tables import Tables

MOST_RECEIPTS = 2_000
"""Receipts that a page may have before it is looked at how many there are."""

LONGEST_EVENT = MAX_JSON + 2_000
"""Bytes of the longest event: its body, and what is around it."""

NEVER = 2**31 - 1
NO_LIMIT = 2**62


def suspicion(wanted: EventRange, count: int) -> int:
    """Return the bytes that one of ``count`` events must have before they may be more than is wanted on a page."""
    if wanted.max_bytes is None:
        return NEVER
    return max((wanted.max_bytes - MOST_RECEIPTS * RECEIPT_BYTES) // max(count, 1), 0)


def longest_run(wanted: EventRange) -> int:
    """Return the number of events of any length that fit on the page."""
    return NEVER if wanted.max_bytes is None else max(wanted.max_bytes // LONGEST_EVENT, 1)


def has_long_one(tables: Tables, of: dict[str, Any], longest: Any, *outer: Any) -> Any:
    """Return the condition that one of these events has more bytes than ``longest``; it looks no further than to the first that has."""
    event = tables.event
    return exists(select(fixed(1)).where(*_range(event, event.c.id, of), octets(event.c.data) > longest).correlate(*outer))


def has_many_receipts(tables: Tables, of: dict[str, Any], *outer: Any) -> Any:
    """Return the condition that there are more than ``MOST_RECEIPTS`` on these events; it counts no further."""
    receipt = tables.receipt
    some: Select[Any] = (
        select(literal_column("1").label("one"))
        .where(*_range(receipt, receipt.c.event_id, of))
        .limit(fixed(MOST_RECEIPTS + 1))
        .offset(fixed(0))
    )
    counted = select(func.count()).select_from(some.correlate(*outer).subquery())
    return counted.scalar_subquery() > fixed(MOST_RECEIPTS)


def _range(table: Any, id: Any, of: dict[str, Any]) -> tuple[Any, ...]:
    return (table.c.application_id == of["a"], table.c.conversation_id == of["c"], id.between(of["first"], of["last"]))


def texts_of(columns: Iterable[Any]) -> list[Any]:
    """Return the columns that hold JSON."""
    return [column for column in columns if isinstance(column.type, Json)]


def bare_weight(columns: Iterable[Any]) -> int:
    """Return the weight of the rows of these columns without their JSON, one of each table, as ``row_bytes`` has it."""
    return ROW_BYTES * len({column.table for column in columns})


def weight(columns: Sequence[Any]) -> Any:
    """Return about how many bytes of JSON the rows of these columns are."""
    texts = [func.coalesce(octets(column), fixed(0)) for column in texts_of(columns)]
    return sum(texts, start=literal_column(str(bare_weight(columns))))


class octets(FunctionElement[int]):
    """Number of bytes that a text has in UTF-8."""

    type = BigInteger()
    inherit_cache = True


@compiles(octets)
def _octets(element: octets, compiler: Any, **options: Any) -> str:
    return dialect_of(compiler).octet_length.format(compiler.process(element.clauses, **options))
