"""A page of events and whether it may be read, in one statement: the database joins the texts itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, bindparam, cast, func, null, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import String

from conversation_kit.domain.events import SEPARATOR, EventPage
from conversation_kit.domain.models import MemberState, Receipt, ReceiptKind
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.domain.rules import check_reader
from conversation_kit_sql.prepared import Prepared
from conversation_kit_sql.tables import Tables, to_instant

DATABASES = ("sqlite", "postgresql")
"""Those that join texts of any length; MySQL cuts them off without a word."""

_END = 2**62
_FIELD, _ROW = " ", ","
"""What stands between a receipt's columns, none of which has any, and between receipts."""


class Pages:
    """The statements, by whether the reader is a user and whether the page is read backwards."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._prepared: dict[tuple[str, bool, bool], Prepared] = {}

    def read(self, connection: Connection, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """See ``Storage.list_events``."""
        key = (connection.dialect.name, access.user_name is not None, wanted.descending)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = Prepared(self._statement(*key))
        a, c = access.application_id, conversation_id
        first = max(wanted.start_id or 1, 1)
        last = _END if wanted.end_id is None else wanted.end_id
        parameters: dict[str, Any] = {"a": a, "c": c, "name": access.user_name}
        if wanted.descending:
            parameters |= {"first": first, "last": last, "skipped": wanted.index, "through": wanted.index + wanted.size}
        else:
            # Beyond what any database counts to there is nothing either.
            first = min(first + wanted.index, _END)
            parameters |= {"first": first, "last": min(last, first + wanted.size - 1)}
        rows = prepared.rows(connection, parameters)
        user_id, exists, expires_at, created_by, number, text, receipts = rows[0][:7] if rows else (None, None, None, None, 0, None, None)
        check_reader(
            access,
            exists=exists is not None,
            expires_at=None if expires_at is None else to_instant(expires_at),
            created_by=created_by,
            user_id=user_id,
            states=[MemberState(row[7]) for row in rows if row[7] is not None],
        )
        return EventPage(a, c, wanted.ids(number), text or "", _receipts(c, receipts) if receipts else {})

    def _statement(self, database: str, of_user: bool, descending: bool) -> Select[Any]:
        conversation, user, member = self._tables.conversation, self._tables.user, self._tables.member
        a: Any = bindparam("a")
        c: Any = bindparam("c")
        log = [self._texts(database, descending).label("texts"), self._states(database, descending).label("receipts")]
        about = [conversation.c.id, conversation.c.expires_at, conversation.c.created_by, conversation.c.sequence_number, *log]
        if not of_user:
            return select(null(), *about, null()).where(conversation.c.application_id == a, conversation.c.id == c)
        # Whether or not there is such a conversation, and once for each invited or joined membership in it.
        present = member.c.state != bindparam(None, MemberState.LEFT, type_=member.c.state.type, literal_execute=True)
        of_member = (member.c.application_id == a) & (member.c.conversation_id == conversation.c.id) & (member.c.user_id == user.c.id)
        return (
            select(user.c.id, *about, member.c.state)
            .select_from(user)
            .outerjoin(conversation, (conversation.c.application_id == a) & (conversation.c.id == c))
            .outerjoin(member, of_member & present)
            .where(user.c.application_id == a, user.c.name == bindparam("name"))
        )

    def _within(self, database: str, id: Any, descending: bool) -> Any:
        """The condition on an event's id, as ``EventRange.ids`` has it: two bounds, and nothing to look at row by row."""
        first, last = bindparam("first", type_=id.type), bindparam("last", type_=id.type)
        if not descending:
            return id.between(first, last)
        least, greatest = (func.min, func.max) if database == "sqlite" else (func.least, func.greatest)
        end = least(self._tables.conversation.c.sequence_number, last)
        skipped, through = bindparam("skipped", type_=id.type), bindparam("through", type_=id.type)
        return id.between(greatest(first, end - through + _fixed(1)), end - skipped)

    def _texts(self, database: str, descending: bool) -> ScalarSelect[Any]:
        event = self._tables.event
        where = (
            event.c.application_id == bindparam("a"),
            event.c.conversation_id == bindparam("c"),
            self._within(database, event.c.id, descending),
        )
        order = (event.c.id.desc() if descending else event.c.id,)
        rows = select(event.c.data).where(*where).correlate(self._tables.conversation)
        return _joined(database, rows, event.c.data, order, SEPARATOR)

    def _states(self, database: str, descending: bool) -> ScalarSelect[Any]:
        receipt = self._tables.receipt
        of_log = (receipt.c.application_id == bindparam("a"), receipt.c.conversation_id == bindparam("c"))
        columns = [receipt.c.event_id, receipt.c.member_id, receipt.c.kind, receipt.c.timestamp, receipt.c.receipt_id]
        text: Any = cast(columns[0], String)
        for column in columns[1:]:
            text = text + _fixed(_FIELD) + cast(column, String)
        rows = select(text.label("data")).where(*of_log, self._within(database, receipt.c.event_id, descending))
        rows = rows.correlate(self._tables.conversation)
        return _joined(database, rows, text, (receipt.c.event_id, receipt.c.member_id, receipt.c.kind), _ROW)


def _joined(database: str, rows: Select[Any], text: Any, order: Sequence[Any], separator: str) -> ScalarSelect[Any]:
    """The ``text`` of all rows in one, in this order."""
    if database == "postgresql":
        return rows.with_only_columns(func.string_agg(text, aggregate_order_by(_fixed(separator), *order))).scalar_subquery()
    # SQLite takes the rows in the order of the inner query, also in versions that do not know how to say so.
    inner = rows.order_by(*order).subquery()
    return select(func.group_concat(inner.c.data, _fixed(separator))).scalar_subquery()


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
