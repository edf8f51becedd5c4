"""Pages of events and whether they may be read, in one statement: the database joins the texts itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, bindparam, case, cast, func, select
from sqlalchemy.types import String

from conversation_kit.domain.errors import RequestError
from conversation_kit.domain.events import SEPARATOR, EventPage
from conversation_kit.domain.models import MemberState, Receipt, ReceiptKind
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.domain.rules import check_reader
from conversation_kit_sql.page_memory import PageKey, PageMemory, Remembered
from conversation_kit_sql.prepared import Prepared, asked
from conversation_kit_sql.tables import Tables, to_instant

DATABASES = ("sqlite", "postgresql")
"""Those that join texts of any length; MySQL cuts them off without a word."""

_END = 2**62
_FIELD, _ROW = " ", ","
"""What stands between a receipt's columns, none of which has any, and between receipts."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """One call of ``Storage.list_events``."""

    access: Access
    conversation_id: str
    wanted: EventRange

    @property
    def key(self) -> PageKey:
        """What is read, whoever reads it."""
        return self.access.application_id, self.conversation_id, self.wanted


class Pages:
    """Reads pages, as many as are asked for at once in one statement for each direction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._prepared: dict[tuple[str, bool, int], Prepared] = {}

    def read(self, connection: Connection, reads: Sequence[PageRead], memory: PageMemory | None = None) -> list[EventPage | RequestError]:
        """What ``Storage.list_events`` answers to each of ``reads``, or raises. ``memory`` is for reading what is committed only."""
        found: dict[int, EventPage | RequestError] = {}
        for descending in (False, True):
            some = [(number, read) for number, read in enumerate(reads) if read.wanted.descending is descending]
            if some:
                found.update(self._read(connection, some, descending, memory))
        return [found[number] for number in range(len(reads))]

    def _read(
        self, connection: Connection, reads: Sequence[tuple[int, PageRead]], descending: bool, memory: PageMemory | None
    ) -> Iterator[tuple[int, EventPage | RequestError]]:
        key = (connection.dialect.name, descending, len(reads))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = Prepared(self._statement(*key))
        remembered = [memory.find(read.key) if memory is not None else None for _, read in reads]
        parameters: dict[str, Any] = {}
        for row, (_, read) in enumerate(reads):
            old = remembered[row]
            for name, value in zip(_COLUMNS, (row, *_bounds(read), None if old is None else old.latest), strict=True):
                parameters[f"{name}_{row}"] = value
        rows: dict[int, list[Any]] = {}
        for found in prepared.rows(connection, parameters):
            rows.setdefault(found[0], []).append(found)
        for row, (number, read) in enumerate(reads):
            try:
                page, latest = _page(read, rows[row], remembered[row])
            except RequestError as error:
                yield number, error
                continue
            if memory is not None and latest is not None:
                memory.keep(read.key, page, latest)
            yield number, page

    def _statement(self, database: str, descending: bool, reads: int) -> Select[Any]:
        conversation, user, member = self._tables.conversation, self._tables.user, self._tables.member
        latest = self._tables.event.alias("latest")
        a, c, number = conversation.c.application_id.type, conversation.c.id.type, conversation.c.sequence_number.type
        types = (number, a, c, user.c.name.type, number, number, number, number, latest.c.data.type)
        wanted = asked(reads, **dict(zip(_COLUMNS, types, strict=True)))
        first, last = wanted.c.first, wanted.c.last
        if descending:
            least, greatest = (func.min, func.max) if database == "sqlite" else (func.least, func.greatest)
            end = least(conversation.c.sequence_number, last)
            first, last = greatest(first, end - wanted.c.through + _fixed(1)), end - wanted.c.skipped
        present = member.c.state != bindparam(None, MemberState.LEFT, type_=member.c.state.type, literal_execute=True)
        of_member = (member.c.application_id == wanted.c.a) & (member.c.conversation_id == wanted.c.c) & (member.c.user_id == user.c.id)
        of_conversation = (latest.c.application_id == wanted.c.a) & (latest.c.conversation_id == wanted.c.c)

        def if_new(value: Any) -> Any:
            return case((latest.c.data == wanted.c.known, None), else_=value)

        # Whether or not there are such a user and such a conversation, and once for each invited or joined membership in it.
        return select(
            wanted.c.row,
            user.c.id,
            conversation.c.id,
            conversation.c.expires_at,
            conversation.c.created_by,
            conversation.c.sequence_number,
            if_new(self._texts(wanted, first, last, descending)).label("texts"),
            if_new(self._states(wanted, first, last)).label("receipts"),
            if_new(latest.c.data).label("latest"),
            member.c.state,
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
        return self._joined(rows, wanted, SEPARATOR)

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
            text = text + _fixed(_FIELD) + cast(column, String)
        rows = select(text.label("data")).where(*where).order_by(receipt.c.event_id, receipt.c.member_id, receipt.c.kind)
        return self._joined(rows, wanted, _ROW)

    def _joined(self, rows: Select[Any], wanted: Any, separator: str) -> ScalarSelect[Any]:
        """The ``data`` of all rows in one. Both databases take them in the order of the inner query, which is that of an index."""
        inner = rows.correlate(wanted, self._tables.conversation).subquery()
        return select(func.aggregate_strings(inner.c.data, separator)).scalar_subquery()


_COLUMNS = ("row", "a", "c", "name", "first", "last", "skipped", "through", "known")


def _bounds(read: PageRead) -> tuple[Any, ...]:
    """The values of a read in the order of the columns, without the first and the last one: ids as ``EventRange.ids`` has them."""
    wanted = read.wanted
    first = min(max(wanted.start_id or 1, 1), _END)
    last = _END if wanted.end_id is None else max(min(wanted.end_id, _END), 0)
    skipped, through = min(wanted.index, _END), min(wanted.index + wanted.size, _END)
    if not wanted.descending:
        # Beyond what any database counts to there is nothing either.
        first = min(first + skipped, _END)
        last = min(last, first + wanted.size - 1)
    return (read.access.application_id, read.conversation_id, read.access.user_name, first, last, skipped, through)


def _page(read: PageRead, rows: Sequence[Any], old: Remembered | None) -> tuple[EventPage, str | None]:
    """The page, and the text of the conversation's last event, ``None`` if it is the one that goes with ``old``."""
    _, user_id, exists, expires_at, created_by, number, text, receipts, latest, _ = rows[0]
    check_reader(
        read.access,
        exists=exists is not None,
        expires_at=None if expires_at is None else to_instant(expires_at),
        created_by=created_by,
        user_id=user_id,
        states=[MemberState(row[9]) for row in rows if row[9] is not None],
    )
    if old is not None and latest is None and number:
        return old.page, None
    a, c = read.access.application_id, read.conversation_id
    return EventPage(a, c, read.wanted.ids(number), text or "", _receipts(c, receipts) if receipts else {}), latest


def _fixed(value: str | int) -> Any:
    """A part of the statement's own words and no parameter."""
    return bindparam(None, value, unique=True, literal_execute=True)


def _receipts(conversation_id: str, text: str) -> dict[int, list[Receipt]]:
    found: dict[int, list[Receipt]] = {}
    for row in text.split(_ROW):
        event_id, member_id, kind, timestamp, receipt_id = row.split(_FIELD)
        receipt = Receipt(conversation_id, int(event_id), member_id, ReceiptKind(kind), to_instant(int(timestamp)), int(receipt_id))
        found.setdefault(receipt.event_id, []).append(receipt)
    for receipts in found.values():
        receipts.sort(key=lambda receipt: receipt.receipt_id)
    return found
