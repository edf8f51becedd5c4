"""Pages of events and whether they may be read, in one statement: the database joins the texts itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, case, cast, func, select
from sqlalchemy.types import String

from conversation_kit.domain.errors import RequestError
from conversation_kit.domain.events import SEPARATOR, EventPage
from conversation_kit.domain.models import MemberState, Receipt, ReceiptKind
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.domain.rules import check_reader
from conversation_kit.domain.values.immutable import immutable
from conversation_kit_sql.database.compiled import CompiledStatement, asked, fixed, run
from conversation_kit_sql.database.dialects.dialect import Dialect
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.queries.page_cache import PageCache, PageKey, Remembered
from conversation_kit_sql.queries.weights import MOST_RECEIPTS, has_long_one, suspicion
from conversation_kit_sql.schema.column_types import to_instant
from conversation_kit_sql.schema.tables import Tables

_END = 2**62
_FIELD, _ROW = " ", ","
"""Separators: between a receipt's columns, none of which has any, and between receipts."""

_STATES = {state.value: state for state in MemberState}
_instant = lru_cache(maxsize=4096)(to_instant)
"""The same people read again and again."""


@immutable
class PageRead:
    """One call of ``Storage.list_events``."""

    access: Access
    conversation_id: str
    wanted: EventRange

    @property
    def key(self) -> PageKey:
        """Key of the page that is read, the same for whoever reads it."""
        wanted = self.wanted
        ids = wanted.size, wanted.index, wanted.descending, wanted.start_id, wanted.end_id
        return self.access.application_id, self.conversation_id, *ids, wanted.max_bytes


class Pages:
    """Reader of pages, as many as are asked for at once in one statement for each direction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._prepared: dict[tuple[Dialect, bool], CompiledStatement] = {}

    def read(
        self, connection: Connection, reads: Sequence[PageRead], memory: PageCache | None = None
    ) -> list[EventPage | RequestError | None]:
        """Return the answer of ``Storage.list_events`` to each of ``reads``, or its error; ``None``, unread, for one that may be too long.

        ``memory`` is for reading what is committed only.
        """
        found: dict[int, EventPage | RequestError | None] = {}
        for descending in {read.wanted.descending for read in reads}:
            some = [(number, read) for number, read in enumerate(reads) if read.wanted.descending is descending]
            found.update(self._read(connection, some, descending, memory))
        return [found[number] for number in range(len(reads))]

    def _read(
        self, connection: Connection, reads: Sequence[tuple[int, PageRead]], descending: bool, memory: PageCache | None
    ) -> Iterator[tuple[int, EventPage | RequestError | None]]:
        dialect = dialect_of(connection)
        prepared = self._prepared.get((dialect, descending))
        if prepared is None:
            made = CompiledStatement(partial(self._statement, dialect, descending), *_COLUMNS, common=())
            prepared = self._prepared[dialect, descending] = made
        remembered = [memory.find(read.key) if memory is not None else None for _, read in reads]
        asking = zip(reads, remembered, strict=True)
        statement = prepared.of(
            connection, [(row, *_bounds(read), old.latest if old is not None else None) for row, ((_, read), old) in enumerate(asking)]
        )
        rows: dict[int, list[Any]] = {}
        for found in run(connection, [statement])[0]:
            rows.setdefault(found[0], []).append(found)
        for row, (number, read) in enumerate(reads):
            try:
                page, latest = _page(read, rows[row], remembered[row])
            except RequestError as error:
                yield number, error
                continue
            if memory is not None and latest is not None and page is not None:
                memory.keep(read.key, page, latest)
            yield number, page

    def _statement(self, dialect: Dialect, descending: bool, reads: int) -> Select[Any]:
        conversation, user, member = self._tables.conversation, self._tables.user, self._tables.member
        latest = self._tables.event.alias("latest")
        a, c, number = conversation.c.application_id.type, conversation.c.id.type, conversation.c.sequence_number.type
        types = (number, a, c, user.c.name.type, number, number, number, number, number, latest.c.data.type)
        wanted = asked(reads, **dict(zip(_COLUMNS, types, strict=True)))
        first, last = wanted.c.first, wanted.c.last
        if descending:
            least, greatest = getattr(func, dialect.least), getattr(func, dialect.greatest)
            end = least(conversation.c.sequence_number, last)
            first, last = greatest(first, end - wanted.c.through + fixed(1)), end - wanted.c.skipped
        present = member.c.state != fixed(MemberState.LEFT, member.c.state.type)
        of_member = (member.c.application_id == wanted.c.a) & (member.c.conversation_id == wanted.c.c) & (member.c.user_id == user.c.id)
        of_conversation = (latest.c.application_id == wanted.c.a) & (latest.c.conversation_id == wanted.c.c)

        outer, of = (wanted, conversation), {"a": wanted.c.a, "c": wanted.c.c, "first": first, "last": last}
        long = has_long_one(self._tables, of, wanted.c.longest, *outer)

        def if_new(value: Any, *unless: Any) -> Any:
            return case((latest.c.data == wanted.c.known, None), *[(condition, None) for condition in unless], else_=value)

        # Whether or not there are such a user and such a conversation, and once for each invited or joined membership in it.
        return select(
            wanted.c.row,
            user.c.id,
            conversation.c.id,
            conversation.c.expires_at,
            conversation.c.created_by,
            conversation.c.sequence_number,
            if_new(self._texts(wanted, first, last, descending), long).label("texts"),
            if_new(self._states(wanted, first, last)).label("receipts"),
            if_new(latest.c.data).label("latest"),
            member.c.state,
            user.c.created,
            user.c.tokens_since,
        ).select_from(
            wanted.outerjoin(user, (user.c.application_id == wanted.c.a) & (user.c.name == wanted.c.name))
            .outerjoin(conversation, (conversation.c.application_id == wanted.c.a) & (conversation.c.id == wanted.c.c))
            .outerjoin(latest, of_conversation & (latest.c.id == conversation.c.sequence_number))
            .outerjoin(member, of_member & present)
        )

    def _texts(self, wanted: Any, first: Any, last: Any, descending: bool) -> ScalarSelect[Any]:
        event = self._tables.event
        where = (event.c.application_id == wanted.c.a, event.c.conversation_id == wanted.c.c, event.c.id.between(first, last))
        rows = select(event.c.data).where(*where).order_by(event.c.id.desc() if descending else event.c.id)
        concatenated, all_ = self._concatenated(rows, wanted, SEPARATOR)
        return select(concatenated).select_from(all_).scalar_subquery()

    def _states(self, wanted: Any, first: Any, last: Any) -> ScalarSelect[Any]:
        receipt = self._tables.receipt
        where = (
            receipt.c.application_id == wanted.c.a,
            receipt.c.conversation_id == wanted.c.c,
            receipt.c.event_id.between(first, last),
        )
        columns = [receipt.c.event_id, receipt.c.member_id, receipt.c.kind, receipt.c.timestamp, receipt.c.receipt_id]
        text: Any = cast(columns[0], String)
        for column in columns[1:]:
            text = text + fixed(_FIELD) + cast(column, String)
        rows = select(text.label("data")).where(*where).order_by(receipt.c.event_id, receipt.c.member_id, receipt.c.kind)
        # Each subquery costs, also one that finds nothing, so that this one tells of too many by a text that is empty.
        concatenated, some = self._concatenated(rows.limit(fixed(MOST_RECEIPTS + 1)).offset(fixed(0)), wanted, _ROW)
        return select(case((func.count() > fixed(MOST_RECEIPTS), fixed("")), else_=concatenated)).select_from(some).scalar_subquery()

    def _concatenated(self, rows: Select[Any], wanted: Any, separator: str) -> tuple[Any, Any]:
        """Join the ``data`` of all rows into one, and return their query too. Both databases take them in its order, that of an index."""
        inner = rows.correlate(wanted, self._tables.conversation).subquery()
        return func.aggregate_strings(inner.c.data, fixed(separator)), inner


_COLUMNS = ("row", "a", "c", "name", "first", "last", "skipped", "through", "longest", "known")


def _bounds(read: PageRead) -> tuple[Any, ...]:
    """Return the values of a read in the order of the columns, without the first and the last one: ids as ``EventRange.ids`` has them."""
    wanted = read.wanted
    first = min(max(wanted.start_id or 1, 1), _END)
    last = _END if wanted.end_id is None else max(min(wanted.end_id, _END), 0)
    skipped, through = min(wanted.index, _END), min(wanted.index + wanted.size, _END)
    if not wanted.descending:
        # Beyond what any database counts to there is nothing either.
        first = min(first + skipped, _END)
        last = min(last, first + wanted.size - 1)
    longest = suspicion(wanted, wanted.size)
    return (read.access.application_id, read.conversation_id, read.access.user_name, first, last, skipped, through, longest)


def _page(read: PageRead, rows: Sequence[Any], old: Remembered | None) -> tuple[EventPage | None, str | None]:
    """Return the page, or ``None`` if it may be too long, and the text of the last event, or ``None`` if that goes with ``old``."""
    _, user_id, exists, expires_at, created_by, number, text, receipts, latest, _, user_created, tokens_since = rows[0]
    check_reader(
        read.access,
        exists=exists is not None,
        expires_at=None if expires_at is None else _instant(expires_at),
        created_by=created_by,
        user_id=user_id,
        user_created=None if user_created is None else _instant(user_created),
        tokens_since=None if tokens_since is None else _instant(tokens_since),
        states=[_STATES[row[9]] for row in rows if row[9] is not None],
    )
    if old is not None and latest is None and number:
        return old.page, None
    a, c, ids = read.access.application_id, read.conversation_id, read.wanted.ids(number)
    if ids and (text is None or receipts == ""):
        return None, latest
    return EventPage(a, c, ids, text or "", _receipts(c, receipts) if receipts else {}), latest


def _receipts(conversation_id: str, text: str) -> dict[int, list[Receipt]]:
    found: dict[int, list[Receipt]] = {}
    for row in text.split(_ROW):
        event_id, member_id, kind, timestamp, receipt_id = row.split(_FIELD)
        receipt = Receipt(conversation_id, int(event_id), member_id, ReceiptKind(kind), to_instant(int(timestamp)), int(receipt_id))
        found.setdefault(receipt.event_id, []).append(receipt)
    for receipts in found.values():
        receipts.sort(key=lambda receipt: receipt.receipt_id)
    return found
