"""Reads, as plain functions over a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from conversation_kit.domain.errors import RequestError, event_not_found, leg_not_found, member_not_found, user_not_found
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Block, Conversation, Exclusion, Leg, Member, MemberState, Receipt, User
from conversation_kit.domain.reading import RECEIPT_BYTES, Access, EventRange, Page, Slice
from conversation_kit.domain.rules import check_access
from conversation_kit.domain.values.answers import Answer
from conversation_kit.domain.values.epochs import FIRST_EPOCH
from conversation_kit_sql.database.compiled import run
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.queries.event_pages import PageRead
from conversation_kit_sql.queries.rows import (
    answer_of,
    block_of,
    conversation_of,
    exclusion_of,
    leg_of,
    listed_conversation,
    listed_user,
    member_of,
    membership_of,
    reader_of,
    to_leg,
    to_model,
    user_of,
)
from conversation_kit_sql.queries.statements import Statements, some_states
from conversation_kit_sql.queries.weights import NO_LIMIT, longest_run, suspicion
from conversation_kit_sql.schema.column_types import to_number

_EARLIEST, _LATEST = -(2**62), 2**62


def _times(page: Page) -> tuple[int, int]:
    """Return the instants between which the rows of a page were created."""
    return _EARLIEST if page.start is None else to_number(page.start), _LATEST if page.end is None else to_number(page.end)


def readable(connection: Connection, statements: Statements, access: Access, conversation_id: str) -> Conversation:
    """Return the conversation, if ``access`` may read it. Raises what ``check_access`` raises."""
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
    connection: Connection, statements: Statements, access: Access, conversation_id: str, members: int, max_bytes: int | None
) -> tuple[Conversation, list[Member]]:
    """See ``Storage.get_conversation``."""
    conversation = readable(connection, statements, access, conversation_id)
    if members == 0:
        return conversation, []
    rows = statements.members_present_first.found(
        connection, access.application_id, conversation_id, members, NO_LIMIT if max_bytes is None else max_bytes
    )
    return conversation, [member_of(tuple(row)) for row in rows]


def list_conversations(
    connection: Connection, statements: Statements, application_id: str, page: Page, now: datetime
) -> Slice[Conversation]:
    """See ``Storage.list_conversations``."""
    rows, total = statements.conversations.read(connection, page, application_id, *_times(page), to_number(now))
    return Slice([listed_conversation(row) for row in rows], total)


def expired_conversations(
    connection: Connection,
    statements: Statements,
    application_id: str,
    now: datetime,
    limit: int,
    name: str | None = None,
    user_id: str | None = None,
) -> list[str]:
    """See ``Storage.expired_conversations``."""
    table, member = statements.tables.conversation, statements.tables.member
    query = select(table.c.id).where(table.c.application_id == application_id, table.c.expires_at <= now)
    if name is not None:
        query = query.where(table.c.name == name)
    if user_id is not None:
        own = (member.c.application_id == application_id, member.c.user_id == user_id, member.c.state != MemberState.LEFT)
        query = query.where(table.c.id.in_(select(member.c.conversation_id).where(*own)))
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


def get_answer(connection: Connection, statements: Statements, application_id: str, mark: str, now: datetime) -> Answer | None:
    """See ``Storage.get_answer``."""
    rows = statements.answer.found(connection, application_id, mark)
    answer = answer_of(tuple(rows[0])) if rows else None
    return answer if answer is not None and answer.expires_at > now else None


def list_users(connection: Connection, statements: Statements, application_id: str, page: Page) -> Slice[User]:
    """See ``Storage.list_users``."""
    rows, total = statements.users.read(connection, page, application_id, *_times(page))
    return Slice([listed_user(row) for row in rows], total)


def list_legs(connection: Connection, statements: Statements, application_id: str, page: Page) -> Slice[Leg]:
    """See ``Storage.list_legs``."""
    rows, total = statements.all_legs.read(connection, page, application_id, *_times(page))
    return Slice([leg_of(row) for row in rows], total)


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


def epoch(connection: Connection, statements: Statements) -> str:
    """See ``Restorable.epoch``. There is no row until it is renewed for the first time."""
    rows = statements.epoch.found(connection)
    return str(rows[0][0]) if rows else FIRST_EPOCH


def list_memberships(
    connection: Connection, statements: Statements, application_id: str, user_id: str, page: Page, now: datetime
) -> Slice[tuple[Conversation, Member]]:
    """See ``Storage.list_memberships``."""
    rows, total = statements.memberships.read(connection, page, application_id, user_id, to_number(now))
    return Slice([membership_of(tuple(row)) for row in rows], total)


def _joined_then_newest(pair: tuple[Conversation, Member]) -> tuple[object, ...]:
    conversation, member = pair
    return member.state is MemberState.JOINED, conversation.created, conversation.id, member.created, member.id


def newest_memberships(
    connection: Connection,
    statements: Statements,
    application_id: str,
    user_id: str,
    limit: int,
    now: datetime,
    conversation_ids: Sequence[str] | None,
) -> Slice[tuple[Conversation, Member]]:
    """See ``Storage.newest_memberships``."""
    wanted = (application_id, user_id, to_number(now))
    if conversation_ids is not None:
        ids = [(id,) for id in sorted(set(conversation_ids))]
        distinct = dict.fromkeys(tuple(row) for row in statements.newest_among.rows(connection, ids, *wanted))
        found = [membership_of(row) for row in distinct]
        # Several statements, each in order.
        found.sort(key=_joined_then_newest, reverse=True)
        return Slice(found[:limit], len(found))
    counted, rows = run(
        connection,
        [
            statements.memberships.count.of(connection, [()], *wanted),
            statements.newest_memberships.of(connection, [()], *wanted, limit),
        ],
    )
    return Slice([membership_of(tuple(row)) for row in rows], counted[0][0])


def list_members(
    connection: Connection, statements: Statements, access: Access, conversation_id: str, page: Page, states: frozenset[MemberState] | None
) -> Slice[Member]:
    """See ``Storage.list_members``."""
    readable(connection, statements, access, conversation_id)
    listing = statements.members if states is None else statements.members_in
    rows, total = listing.read(connection, page, access.application_id, conversation_id, *some_states(states))
    return Slice([member_of(tuple(row)) for row in rows], total)


def get_member(connection: Connection, statements: Statements, access: Access, conversation_id: str, member_id: str) -> Member:
    """See ``Storage.get_member``."""
    readable(connection, statements, access, conversation_id)
    rows = statements.member.found(connection, access.application_id, conversation_id, member_id)
    if not rows:
        raise member_not_found(member_id)
    return member_of(tuple(rows[0]))


def list_exclusions(connection: Connection, statements: Statements, access: Access, conversation_id: str, page: Page) -> Slice[Exclusion]:
    """See ``Storage.list_exclusions``."""
    readable(connection, statements, access, conversation_id)
    rows, total = statements.exclusions.read(connection, page, access.application_id, conversation_id)
    return Slice([exclusion_of(tuple(row)) for row in rows], total)


def list_blocks(connection: Connection, statements: Statements, application_id: str, user_id: str, page: Page) -> Slice[Block]:
    """See ``Storage.list_blocks``."""
    rows, total = statements.blocks.read(connection, page, application_id, user_id)
    return Slice([block_of(tuple(row)) for row in rows], total)


def list_events(connection: Connection, statements: Statements, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
    """See ``Storage.list_events``. Ids have no holes, so a page is a range of ids and costs the same wherever it lies."""
    if dialect_of(connection).joins_texts:
        (page,) = statements.pages.read(connection, [PageRead(access, conversation_id, wanted)])
        if isinstance(page, RequestError):
            raise page
        if page is not None:
            return page
    return list_long_events(connection, statements, access, conversation_id, wanted)


def list_long_events(connection: Connection, statements: Statements, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
    """See ``Storage.list_events``, row by row, and no more rows at once than a page may hold of the longest events."""
    conversation = readable(connection, statements, access, conversation_id)
    a, ids = access.application_id, wanted.ids(conversation.sequence_number)
    texts: list[str] = []
    receipts: dict[int, list[Receipt]] = {}
    query = statements.events(descending=wanted.descending)
    size = 0
    of = {"a": a, "c": conversation_id}
    while len(texts) < len(ids) and (wanted.max_bytes is None or size <= wanted.max_bytes):
        some = ids[len(texts) :]
        few = some[: longest_run(wanted)]
        bounds = {"first": min(some), "last": max(some), "few_first": min(few), "few_last": max(few)}
        rows = connection.execute(query, {**of, **bounds, "longest": suspicion(wanted, len(some))})
        found = {row.id: row.data for row in rows}
        texts += found.values()
        receipts |= _receipts(connection, statements, {**of, "first": min(found), "last": max(found)})
        size = sum(map(len, texts)) + RECEIPT_BYTES * sum(map(len, receipts.values()))
    page = EventPage.of(a, conversation_id, ids[: len(texts)], texts, receipts, wanted.max_bytes)
    page.is_cut = len(page.ids) < len(ids)
    return page


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
