"""Reads, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from conversation_kit.domain.errors import event_not_found, leg_not_found, member_not_found, user_not_found
from conversation_kit.domain.events import SEPARATOR, Event, EventPage
from conversation_kit.domain.models import Conversation, Leg, Member, Receipt, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.rules import check_access
from conversation_kit_sql.pages import DATABASES, PageRead
from conversation_kit_sql.prepared import together
from conversation_kit_sql.rows import conversation_of, member_of, membership_of, reader_of, to_leg, to_model, user_of
from conversation_kit_sql.statements import Statements
from conversation_kit_sql.tables import to_number


def readable(connection: Connection, statements: Statements, access: Access, conversation_id: str) -> Conversation:
    """The conversation, if ``access`` may read it. Raises what ``check_access`` raises."""
    conversation, user, own = None, None, []
    if access.user_name is None:
        for row in statements.conversation.found(connection, access.application_id, conversation_id):
            conversation = conversation_of(tuple(row))
    else:
        for row in statements.reader.found(connection, access.application_id, conversation_id, access.user_name):
            user, conversation, member = reader_of(tuple(row))
            if member is not None:
                own.append(member)
    check_access(access, conversation, user, own)
    assert conversation is not None
    return conversation


def get_conversation(
    connection: Connection, statements: Statements, access: Access, conversation_id: str, members: int
) -> tuple[Conversation, list[Member]]:
    """See ``Storage.get_conversation``."""
    conversation = readable(connection, statements, access, conversation_id)
    if members == 0:
        return conversation, []
    rows = statements.members_present_first.found(connection, access.application_id, conversation_id, members)
    return conversation, [member_of(tuple(row)) for row in rows]


def list_conversations(
    connection: Connection, statements: Statements, application_id: str, page: Page, now: datetime
) -> Slice[Conversation]:
    """See ``Storage.list_conversations``."""
    table = statements.tables.conversation
    rows, total = _paged(connection, table, application_id, page, (table.c.expires_at.is_(None)) | (table.c.expires_at > now))
    return Slice([to_model(Conversation, row) for row in rows], total)


def expired_conversations(connection: Connection, statements: Statements, application_id: str, now: datetime, limit: int) -> list[str]:
    """See ``Storage.expired_conversations``."""
    table = statements.tables.conversation
    query = select(table.c.id).where(table.c.application_id == application_id, table.c.expires_at <= now)
    return list(connection.execute(query.order_by(table.c.expires_at).limit(limit)).scalars())


def get_user(connection: Connection, statements: Statements, application_id: str, id: str | None, name: str | None) -> User:
    """See ``Storage.get_user``."""
    rows = (
        statements.user.found(connection, application_id, id)
        if id is not None
        else statements.user_named.found(connection, application_id, name)
    )
    if not rows:
        raise user_not_found(id or name or "")
    return user_of(tuple(rows[0]))


def hold_user(connection: Connection, statements: Statements, application_id: str, user_id: str) -> User:
    """The user, locked for nobody else to change until the transaction ends. Raises ``user_not_found``."""
    row = connection.execute(statements.hold_user, {"a": application_id, "id": user_id}).first()
    if row is None:
        raise user_not_found(user_id)
    return to_model(User, row)


def list_users(connection: Connection, statements: Statements, application_id: str, page: Page) -> Slice[User]:
    """See ``Storage.list_users``."""
    rows, total = _paged(connection, statements.tables.user, application_id, page)
    return Slice([to_model(User, row) for row in rows], total)


def list_legs(connection: Connection, statements: Statements, application_id: str, page: Page) -> Slice[Leg]:
    """See ``Storage.list_legs``."""
    rows, total = _paged(connection, statements.tables.leg, application_id, page)
    return Slice([to_leg(row) for row in rows], total)


def get_leg(connection: Connection, statements: Statements, application_id: str, leg_id: str) -> Leg:
    """See ``Storage.get_leg``."""
    row = connection.execute(statements.leg, {"a": application_id, "id": leg_id}).first()
    if row is None:
        raise leg_not_found(leg_id)
    return to_leg(row)


def sequence_numbers(
    connection: Connection, statements: Statements, application_id: str, conversation_ids: Sequence[str], now: datetime
) -> Mapping[str, int]:
    """See ``Storage.sequence_numbers``."""
    ids = [(id,) for id in conversation_ids]
    return dict(map(tuple, statements.sequence_numbers.rows(connection, ids, application_id, to_number(now))))


def list_memberships(
    connection: Connection, statements: Statements, application_id: str, user_id: str, page: Page, now: datetime
) -> Slice[tuple[Conversation, Member]]:
    """See ``Storage.list_memberships``."""
    wanted = (application_id, user_id, to_number(now))
    query = statements.page_of_memberships[page.descending]
    counted, rows = together(
        connection, [statements.count_memberships.of(connection, [()], *wanted), query.of(connection, [()], *wanted, page.size, page.index)]
    )
    return Slice([membership_of(tuple(row)) for row in rows], counted[0][0])


def list_members(connection: Connection, statements: Statements, access: Access, conversation_id: str, page: Page) -> Slice[Member]:
    """See ``Storage.list_members``."""
    readable(connection, statements, access, conversation_id)
    wanted = (access.application_id, conversation_id)
    query = statements.page_of_members[page.descending]
    counted, rows = together(
        connection, [statements.count_members.of(connection, [()], *wanted), query.of(connection, [()], *wanted, page.size, page.index)]
    )
    return Slice([member_of(tuple(row)) for row in rows], counted[0][0])


def get_member(connection: Connection, statements: Statements, access: Access, conversation_id: str, member_id: str) -> Member:
    """See ``Storage.get_member``."""
    readable(connection, statements, access, conversation_id)
    rows = statements.member.found(connection, access.application_id, conversation_id, member_id)
    if not rows:
        raise member_not_found(member_id)
    return member_of(tuple(rows[0]))


def list_events(connection: Connection, statements: Statements, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
    """See ``Storage.list_events``. Ids have no holes, so a page is a range of ids and costs the same wherever it lies."""
    if connection.dialect.name in DATABASES:
        (page,) = statements.pages.read(connection, [PageRead(access, conversation_id, wanted)])
        if isinstance(page, EventPage):
            return page
        raise page
    conversation = readable(connection, statements, access, conversation_id)
    ids = wanted.ids(conversation.sequence_number)
    a = access.application_id
    if not ids:
        return EventPage(a, conversation_id, ids, "")
    parameters = {"a": a, "c": conversation_id, "first": min(ids), "last": max(ids)}
    rows = connection.execute(statements.events_down if wanted.descending else statements.events_up, parameters)
    text = SEPARATOR.join([row.data for row in rows])
    return EventPage(a, conversation_id, ids, text, _receipts(connection, statements, parameters))


def get_event(connection: Connection, statements: Statements, access: Access, conversation_id: str, event_id: int) -> Event:
    """See ``Storage.get_event``."""
    conversation = readable(connection, statements, access, conversation_id)
    if not 1 <= event_id <= conversation.sequence_number:
        raise event_not_found(event_id)
    a = access.application_id
    data = connection.execute(statements.event, {"a": a, "c": conversation_id, "id": event_id}).scalar_one()
    parameters = {"a": a, "c": conversation_id, "first": event_id, "last": event_id}
    return Event(a, conversation_id, event_id, data, _receipts(connection, statements, parameters).get(event_id, ()))


def _receipts(connection: Connection, statements: Statements, parameters: dict[str, Any]) -> dict[int, list[Receipt]]:
    found: dict[int, list[Receipt]] = {}
    for row in connection.execute(statements.receipts, parameters):
        found.setdefault(row.event_id, []).append(to_model(Receipt, row))
    return found


def _paged(connection: Connection, table: Table, application_id: str, page: Page, *where: Any) -> tuple[list[Any], int]:
    conditions = [table.c.application_id == application_id, *where]
    if page.start is not None:
        conditions.append(table.c.created >= page.start)
    if page.end is not None:
        conditions.append(table.c.created < page.end)
    total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
    order = (table.c.created.desc(), table.c.id.desc()) if page.descending else (table.c.created, table.c.id)
    query = select(table).where(*conditions).order_by(*order).limit(page.size).offset(page.index)
    return list(connection.execute(query)), total
