"""Every statement of the hot paths, built once for a set of tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, Insert, Select, Table, Update, bindparam, case, delete, func, insert, select, update

from conversation_kit.domain.models import LIVE, MemberState
from conversation_kit_sql.pages import Pages
from conversation_kit_sql.prepared import Prepared, asked, fixed
from conversation_kit_sql.tables import Tables


class Statements:
    """Parameters: ``a`` is the application, ``c`` a conversation, ``cs`` several, other plurals are lists too."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        conversation, user, member, event, receipt, leg = (
            tables.conversation,
            tables.user,
            tables.member,
            tables.event,
            tables.receipt,
            tables.leg,
        )
        self.conversation = _one(_of(conversation).where(conversation.c.id == bindparam("c")), "c")
        self.lock_conversations = Prepared(partial(_lock, conversation), "id")
        self.free_conversations = Prepared(partial(_free, conversation), "id")
        self.conversation_ids = Prepared(partial(_ids, conversation), "id")
        self.sequence_numbers = Prepared(partial(_sequence_numbers, conversation), "id", common=("a", "now"), most=256)
        by_id = _of(user).where(user.c.id == bindparam("id"))
        self.user = _one(by_id, "id")
        self.user_named = _one(_of(user).where(user.c.name == bindparam("name")), "name")
        self.hold_user = by_id.with_for_update()
        self.hold_users = Prepared(partial(_hold, user, "id"), "id")
        self.hold_users_named = Prepared(partial(_hold, user, "name"), "name")

        in_conversation = member.c.conversation_id == bindparam("c")
        in_conversations = member.c.conversation_id.in_(_list("cs"))
        self.member = _one(_of(member).where(in_conversation, member.c.id == bindparam("id")), "c", "id")
        # By a user's name and a conversation's id.
        self.callers = Prepared(partial(_callers, user, member), "name", "conversation")
        # By a conversation's id and a member's or a user's.
        self.members_named = Prepared(partial(_members, member, "id"), "conversation", "wanted")
        self.members_of_users = Prepared(partial(_members, member, "user_id"), "conversation", "wanted")
        self.member_keys = (
            _of(member).where(in_conversations, member.c.id.in_(_list("ids"))).with_only_columns(member.c.conversation_id, member.c.id)
        )
        has_left = member.c.state == fixed(MemberState.LEFT, member.c.state.type)
        present_first = _of(member).where(in_conversation).order_by(has_left, member.c.created, member.c.id)
        # Without an offset of ours SQLAlchemy makes up a parameter for one.
        self.members_present_first = _one(present_first.limit(_count("limit")).offset(fixed(0)), "c", "limit")
        self.count_members = _one(
            select(func.count()).select_from(member).where(member.c.application_id == bindparam("a"), in_conversation), "c"
        )
        self.page_of_members = _pages(_of(member).where(in_conversation), member.c.created, member.c.id, names=("c",))
        # Whether or not there is such a conversation, and once for each invited or joined membership in it.
        self.reader = _one(_reader(user, conversation, member), "c", "name")
        theirs = _memberships(conversation, member)
        of_user = ("user", "now")
        self.count_memberships = _one(theirs.with_only_columns(func.count()), *of_user)
        order = (conversation.c.created, conversation.c.id, member.c.created, member.c.id)
        self.page_of_memberships = _pages(theirs, *order, names=of_user)

        of_log = (event.c.application_id == bindparam("a"), event.c.conversation_id == bindparam("c"))
        self.event = select(event.c.data).where(*of_log, event.c.id == bindparam("id"))
        self.events = select(event.c.id, event.c.data, event.c.messages).where(*of_log, event.c.id.in_(_list("ids")))
        between = select(event.c.id, event.c.data).where(*of_log, event.c.id.between(bindparam("first"), bindparam("last")))
        self.events_up = between.order_by(event.c.id)
        self.events_down = between.order_by(event.c.id.desc())
        self.pages = Pages(tables)

        columns = [column for column in receipt.c if column.name != "application_id"]
        of_receipts = (receipt.c.application_id == bindparam("a"), receipt.c.conversation_id == bindparam("c"))
        found = select(*columns).where(*of_receipts).order_by(receipt.c.receipt_id)
        self.receipts = found.where(receipt.c.event_id.between(bindparam("first"), bindparam("last")))
        self.receipts_of = found.where(receipt.c.event_id.in_(_list("ids")), receipt.c.member_id.in_(_list("members")))
        self.receipt_keys = select(receipt.c.conversation_id, receipt.c.event_id, receipt.c.member_id, receipt.c.kind).where(
            receipt.c.application_id == bindparam("a"),
            receipt.c.conversation_id.in_(_list("cs")),
            receipt.c.event_id.in_(_list("ids")),
            receipt.c.member_id.in_(_list("members")),
        )

        self.leg = _of(leg).where(leg.c.id == bindparam("id"))
        self.legs = _of(leg).where(leg.c.id.in_(_list("ids")))
        self.leg_ids = self.legs.with_only_columns(leg.c.id)
        self.knocking_leg = _of(leg).where(leg.c.knocking_id == bindparam("knocking"))
        self.live_legs = _of(leg).where(leg.c.conversation_id == bindparam("c"), leg.c.status.in_(sorted(LIVE)))

        self.insert_conversation = insert(conversation)
        self.insert_user = insert(user)
        self.insert_member = insert(member)
        self.insert_events = Prepared(partial(_insert_rows, event), "conversation_id", "id", "data", "messages")
        self.insert_receipt = insert(receipt)
        self.insert_leg = insert(leg)
        self._update_conversation: dict[tuple[str, ...], Update] = {}
        self.move_on = Prepared(partial(_move_on, conversation), "id", "number", "messages", most=16)
        self.move_pointers = Prepared(partial(_move_pointers, member), "conversation", "id", "seen", "messages", most=16)
        self.update_user = _update(user, "id")
        self.update_member = _update(member, "conversation_id", "id")
        self.update_event = _update(event, "conversation_id", "id", columns=("data",))
        self.update_leg = _update(leg, "id")
        self.rename_memberships = (
            update(member)
            .where(member.c.application_id == bindparam("a"), member.c.user_id == bindparam("user"))
            .values(user_name=bindparam("name"))
        )
        self.delete_leg = delete(leg).where(leg.c.application_id == bindparam("a"), leg.c.id == bindparam("id"))
        self.delete_user = delete(user).where(user.c.application_id == bindparam("a"), user.c.id == bindparam("id"))
        self.delete_conversation = [
            delete(table).where(table.c.application_id == bindparam("a"), column == bindparam("c"))
            for table, column in (
                (receipt, receipt.c.conversation_id),
                (event, event.c.conversation_id),
                (member, member.c.conversation_id),
                (conversation, conversation.c.id),
            )
        ]

    def update_conversation(self, columns: tuple[str, ...]) -> Update:
        """Replace these columns of a row."""
        statement = self._update_conversation.get(columns)
        if statement is None:
            statement = self._update_conversation[columns] = _update(self.tables.conversation, "id", columns=columns)
        return statement


def _one(statement: Select[Any], *names: str) -> Prepared:
    """A statement with these parameters after ``a``."""
    return Prepared(lambda rows: statement, common=("a", *names))


def _pages(statement: Select[Any], *order: Column[Any], names: Sequence[str]) -> tuple[Prepared, Prepared]:
    """A page of what is found, upwards and downwards; after the ``names`` come how many rows, and after how many."""
    cut = statement.limit(_count("limit")).offset(_count("offset"))
    names = (*names, "limit", "offset")
    return _one(cut.order_by(*order), *names), _one(cut.order_by(*[column.desc() for column in order]), *names)


def _count(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


def _reader(user: Table, conversation: Table, member: Table) -> Select[Any]:
    a: Any = bindparam("a")
    of_user = (member.c.application_id == a) & (member.c.conversation_id == conversation.c.id) & (member.c.user_id == user.c.id)
    return (
        select(user, conversation, member)
        .select_from(user)
        .outerjoin(conversation, (conversation.c.application_id == a) & (conversation.c.id == bindparam("c")))
        .outerjoin(member, of_user & _is_present(member))
        .where(user.c.application_id == a, user.c.name == bindparam("name"))
    )


def _memberships(conversation: Table, member: Table) -> Select[Any]:
    """Conversations that have not expired, with the invited and joined members of a user."""
    together = (conversation.c.application_id == member.c.application_id) & (conversation.c.id == member.c.conversation_id)
    return (
        select(conversation, member)
        .select_from(member.join(conversation, together))
        .where(member.c.application_id == bindparam("a"), member.c.user_id == bindparam("user"), _is_present(member), _lasts(conversation))
    )


def _lasts(conversation: Table) -> Any:
    return conversation.c.expires_at.is_(None) | (conversation.c.expires_at > bindparam("now"))


def _is_present(member: Table) -> Any:
    return member.c.state != fixed(MemberState.LEFT, member.c.state.type)


def _lock(conversation: Table, rows: int) -> Select[Any]:
    # In the order of their ids, so that two processes that lock several never wait for each other.
    locked = _of(conversation).where(_is_one_of(conversation.c.id, rows)).order_by(conversation.c.id).with_for_update()
    for name in ("mysql", "mariadb"):
        # Of a small table they would rather read and lock every row, and so wait for those that nobody asked for.
        locked = locked.with_hint(conversation, "FORCE INDEX (PRIMARY)", name)
    return locked


def _free(conversation: Table, rows: int) -> Select[Any]:
    return _lock(conversation, rows).with_only_columns(conversation.c.id).with_for_update(skip_locked=True)


def _ids(conversation: Table, rows: int) -> Select[Any]:
    return _of(conversation).with_only_columns(conversation.c.id).where(_is_one_of(conversation.c.id, rows))


def _sequence_numbers(conversation: Table, rows: int) -> Select[Any]:
    wanted = _of(conversation).where(_is_one_of(conversation.c.id, rows), _lasts(conversation))
    return wanted.with_only_columns(conversation.c.id, conversation.c.sequence_number)


def _hold(user: Table, key: str, rows: int) -> Select[Any]:
    return _of(user).where(_is_one_of(user.c[key], rows)).order_by(user.c.id).with_for_update(read=True)


def _insert_rows(table: Table, rows: int) -> Insert:
    names = [column.name for column in table.c if column.name != "application_id"]
    values: list[dict[str, Any]] = [{name: bindparam(f"{name}_{row}") for name in names} for row in range(rows)]
    return insert(table).values([{"application_id": bindparam("a"), **row} for row in values])


def _move_on(conversation: Table, rows: int) -> Update:
    """Set the sequence numbers and the counts of messages of many conversations."""
    ids = _each("id", rows, conversation.c.id)
    numbers, messages = _each("number", rows, conversation.c.sequence_number), _each("messages", rows, conversation.c.messages)
    those = [conversation.c.id == id for id in ids]
    where = (conversation.c.application_id == bindparam("a"), conversation.c.id.in_(ids))
    return update(conversation).where(*where).values(sequence_number=_by_row(those, numbers), messages=_by_row(those, messages))


def _move_pointers(member: Table, rows: int) -> Update:
    """Set the read pointers of many members."""
    c = member.c
    types = {"conversation": c.conversation_id.type, "id": c.id.type, "seen": c.seen.type, "messages": c.seen_messages.type}
    # A table of one row would cost more than the update.
    wanted: Any = asked(rows, **types).c if rows > 1 else {name: bindparam(f"{name}_0", type_=types[name]) for name in types}
    moved = update(member).where(c.application_id == bindparam("a"), c.conversation_id == wanted["conversation"], c.id == wanted["id"])
    return moved.values(seen=wanted["seen"], seen_messages=wanted["messages"])


def _each(name: str, rows: int, column: Column[Any]) -> list[Any]:
    """A parameter for each row."""
    return [bindparam(f"{name}_{row}", type_=column.type) for row in range(rows)]


def _by_row(those: Sequence[Any], values: Sequence[Any]) -> Any:
    """Of the row that is the n-th of ``those``, the n-th value."""
    return case(*zip(those, values, strict=True)) if len(values) > 1 else values[0]


def _callers(user: Table, member: Table, rows: int) -> Select[Any]:
    """Users with their invited and joined memberships in a conversation, and once without if they have none."""
    wanted = asked(rows, name=user.c.name.type, conversation=member.c.conversation_id.type)
    a: Any = bindparam("a")
    of_user = (member.c.application_id == a) & (member.c.conversation_id == wanted.c.conversation) & (member.c.user_id == user.c.id)
    found = wanted.join(user, (user.c.application_id == a) & (user.c.name == wanted.c.name)).outerjoin(
        member, of_user & _is_present(member)
    )
    return select(user, member).select_from(found)


def _members(member: Table, key: str, rows: int) -> Select[Any]:
    """Members by their conversation and their own id or their user's; a user's only those that have not left."""
    wanted = asked(rows, conversation=member.c.conversation_id.type, wanted=member.c[key].type)
    found = _of(member).join(wanted, (member.c.conversation_id == wanted.c.conversation) & (member.c[key] == wanted.c.wanted))
    if key == "id":
        return found
    return found.where(_is_present(member))


def _is_one_of(column: Column[Any], rows: int) -> Any:
    return column.in_([bindparam(f"{column.name}_{row}", type_=column.type) for row in range(rows)])


def _list(name: str) -> Any:
    return bindparam(name, expanding=True)


def _of(table: Table) -> Select[Any]:
    return select(table).where(table.c.application_id == bindparam("a"))


def _update(table: Table, *key: str, columns: Sequence[str] = ()) -> Update:
    """Replace ``columns`` (default: all) of a row by its key, whose parameters have ``key_`` before their names."""
    names = ("application_id", *key)
    where = [table.c[name] == bindparam(f"key_{name}") for name in names]
    wanted = columns or [column.name for column in table.c if column.name not in names]
    return update(table).where(*where).values({name: bindparam(name) for name in wanted})
