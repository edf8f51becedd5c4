"""Every statement of the hot paths, built once for a set of tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, Select, Table, Update, bindparam, delete, func, insert, select, update

from conversation_kit.domain.models import LIVE, MemberState
from conversation_kit_sql.database.compiled import CompiledStatement, asked, fixed
from conversation_kit_sql.database.dialects.finding import with_index
from conversation_kit_sql.queries.event_pages import Pages
from conversation_kit_sql.queries.lists import Listing
from conversation_kit_sql.queries.updates import insert_rows, move_on, move_pointers, update_rows
from conversation_kit_sql.queries.weights import has_long_one, has_many_receipts, weight
from conversation_kit_sql.schema.tables import Tables

_STATES = tuple(f"state_{number}" for number in range(len(MemberState)))


class Statements:
    """Parameters: ``a`` is the application, ``c`` a conversation, ``cs`` several, other plurals are lists too."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        conversation, user, member, event, receipt, leg, deletion = (
            tables.conversation,
            tables.user,
            tables.member,
            tables.event,
            tables.receipt,
            tables.leg,
            tables.deletion,
        )
        exclusion, block = tables.exclusion, tables.block
        self.conversation = _one(_of(conversation).where(conversation.c.id == bindparam("c")), "c")
        self.removal = _one(_of(tables.removal).where(tables.removal.c.conversation_id == bindparam("c")).with_for_update(), "c")
        self.lock_conversations = CompiledStatement(partial(_lock, conversation.c.id), "id")
        self.sequence_numbers = CompiledStatement(partial(_sequence_numbers, conversation), "id", common=("a", "now"), most=256)
        by_id = _of(user).where(user.c.id == bindparam("id"))
        self.user = _one(by_id, "id")
        self.user_named = _one(_of(user).where(user.c.name == bindparam("name")), "name")
        self.hold_users = CompiledStatement(partial(_hold, user.c.id), "id")
        self.hold_users_named = CompiledStatement(partial(_hold, user.c.name), "name")
        self.lock_users = CompiledStatement(partial(_lock, user.c.id), "id")
        self.lock_users_named = CompiledStatement(partial(_lock, user.c.name), "name")
        nouns = {"conversation": conversation, "user": user}
        self.taken = {noun: CompiledStatement(partial(_taken, table.c.name), "name") for noun, table in nouns.items()}

        in_time = ("start", "end")
        made = (conversation.c.created, conversation.c.id)
        self.conversations = Listing(_within(conversation).where(_lasts(conversation)), *made, names=(*in_time, "now"))
        self.users = Listing(_within(user), user.c.created, user.c.id, names=in_time)
        self.all_legs = Listing(_within(leg), leg.c.created, leg.c.id, names=in_time)
        excluded = _of(exclusion).where(exclusion.c.conversation_id == bindparam("c"))
        self.exclusions = Listing(excluded, exclusion.c.created, exclusion.c.user_id, names=("c",))
        self.blocks = Listing(_of(block).where(block.c.user_id == bindparam("user")), block.c.created, block.c.blocked_id, names=("user",))
        in_conversation = member.c.conversation_id == bindparam("c")
        in_conversations = member.c.conversation_id.in_(_list("cs"))
        self.member = _one(_of(member).where(in_conversation, member.c.id == bindparam("id")), "c", "id")
        # By a user's name and a conversation's id.
        self.callers = CompiledStatement(partial(_callers, user, member), "name", "conversation")
        # By a conversation's id and a member's or a user's.
        self.members_named = CompiledStatement(partial(_members, member, "id"), "conversation", "wanted")
        self.members_of_users = CompiledStatement(partial(_members, member, "user_id"), "conversation", "wanted")
        self.members_behind = _of(member).where(in_conversation, _is_present(member), member.c.seen < bindparam("event"))
        self.member_keys = (
            _of(member).where(in_conversations, member.c.id.in_(_list("ids"))).with_only_columns(member.c.conversation_id, member.c.id)
        )
        self.members_present_first = _one(_present_first(member), "c", "limit", "bytes")
        self.members = Listing(_of(member).where(in_conversation), member.c.created, member.c.id, names=("c",))
        in_states = member.c.state.in_([bindparam(name, type_=member.c.state.type) for name in _STATES])
        self.members_in = Listing(_of(member).where(in_conversation, in_states), member.c.created, member.c.id, names=("c", *_STATES))
        # Whether or not there is such a conversation, and once for each invited or joined membership in it.
        self.reader = _one(_reader(user, conversation, member), "c", "name")
        theirs = _memberships(conversation, member)
        of_user = ("user", "now")
        order = (*made, member.c.created, member.c.id)
        self.memberships = Listing(theirs, *order, names=of_user)
        # "joined" comes after "invited".
        newest = theirs.order_by(member.c.state.desc(), *[column.desc() for column in order])
        self.newest_memberships = _one(newest.limit(_count("limit")).offset(fixed(0)), *of_user, "limit")
        self.newest_among = CompiledStatement(partial(_among, newest, conversation), "id", common=("a", *of_user))

        of_log = (event.c.application_id == bindparam("a"), event.c.conversation_id == bindparam("c"))
        self.event = select(event.c.data).where(*of_log, event.c.id == bindparam("id"))
        later = select(func.count()).select_from(deletion).where(deletion.c.event_id > event.c.id)
        later = later.where(deletion.c.application_id == bindparam("a"), deletion.c.conversation_id == bindparam("c"))
        messages = (event.c.messages + later.scalar_subquery()).label("messages")
        self.scene_events = select(event.c.id, event.c.data, messages).where(*of_log, event.c.id.in_(_list("ids")))
        self._events: dict[bool, Select[Any]] = {}
        self.pages = Pages(tables)
        kept = [column for column in tables.answer.c if column.name != "application_id"]
        self.answer = _one(_of(tables.answer).where(tables.answer.c.mark == bindparam("mark")).with_only_columns(*kept), "mark")
        self.epoch = CompiledStatement(lambda rows: select(tables.epoch.c.epoch), common=())

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

        self.exclusions_of = CompiledStatement(partial(_exclusions, exclusion), "conversation", "user")
        self.delete_exclusion = delete(exclusion).where(
            exclusion.c.application_id == bindparam("a"),
            exclusion.c.conversation_id == bindparam("c"),
            exclusion.c.user_id == bindparam("user"),
        )
        # Members of conversations that are gone may still have rows.
        there = (conversation.c.application_id == member.c.application_id) & (conversation.c.id == member.c.conversation_id)
        counted = select(func.count()).join_from(member, conversation, there)
        invited = counted.where(member.c.application_id == bindparam("a"), member.c.state == MemberState.INVITED)
        self.count_sent = invited.where(member.c.invited_by == bindparam("caller"))
        self.count_received = invited.where(member.c.user_id == bindparam("user"))
        of_user_present = select(fixed(1)).where(member.c.application_id == bindparam("a"), member.c.user_id == bindparam("user"))
        self.membership = of_user_present.join_from(member, conversation, there).where(_is_present(member)).limit(1)
        self.count_blocks = select(func.count()).where(block.c.application_id == bindparam("a"), block.c.user_id == bindparam("user"))
        self.block = _of(block).where(block.c.user_id == bindparam("user"), block.c.blocked_id == bindparam("blocked"))
        self.delete_block = delete(block).where(
            block.c.application_id == bindparam("a"), block.c.user_id == bindparam("user"), block.c.blocked_id == bindparam("blocked")
        )
        self.insert_exclusion = insert(exclusion)
        self.insert_block = insert(block)
        self.insert_conversation = insert(conversation)
        self.insert_user = insert(user)
        self.insert_member = insert(member)
        self.insert_events = CompiledStatement(partial(insert_rows, event), "conversation_id", "id", "data", "messages")
        self.insert_receipt = insert(receipt)
        self.insert_deletion = insert(deletion)
        self.insert_leg = insert(leg)
        self._update_conversation: dict[tuple[str, ...], Update] = {}
        self.move_on = CompiledStatement(partial(move_on, conversation), "id", "number", "messages", most=16)
        self.move_pointers = CompiledStatement(partial(move_pointers, member), "conversation", "id", "seen", "messages", most=16)
        self.update_user = update_rows(user, "id")
        self.update_member = update_rows(member, "conversation_id", "id")
        self.update_event = update_rows(event, "conversation_id", "id", columns=("data",))
        self.update_leg = update_rows(leg, "id")
        self.rename_memberships = (
            update(member)
            .where(member.c.application_id == bindparam("a"), member.c.user_id == bindparam("user"))
            .values(user_name=bindparam("name"), display_name=bindparam("display_name"), image_url=bindparam("image_url"))
        )
        self.delete_leg = delete(leg).where(leg.c.application_id == bindparam("a"), leg.c.id == bindparam("id"))
        self.delete_user = [
            delete(table).where(table.c.application_id == bindparam("a"), column == bindparam("id"))
            for table, column in (
                (exclusion, exclusion.c.user_id),
                (block, block.c.user_id),
                (block, block.c.blocked_id),
                (user, user.c.id),
            )
        ]

    def events(self, *, descending: bool) -> Select[Any]:
        """Return the events from ``first`` to ``last``; from ``few_first`` to ``few_last`` if there may be too much in them."""
        found = self._events.get(descending)
        if found is None:
            event = self.tables.event
            of: dict[str, Any] = {name: bindparam(name) for name in ("a", "c", "first", "last")}
            heavy = has_long_one(self.tables, of, bindparam("longest")) | has_many_receipts(self.tables, of)
            rows = select(event.c.id, event.c.data).where(
                event.c.application_id == of["a"],
                event.c.conversation_id == of["c"],
                event.c.id.between(of["first"], of["last"]),
                event.c.id.between(bindparam("few_first"), bindparam("few_last")) | ~heavy,
            )
            found = self._events[descending] = rows.order_by(event.c.id.desc() if descending else event.c.id)
        assert found is not None
        return found

    def update_conversation(self, columns: tuple[str, ...]) -> Update:
        """Replace these columns of a row."""
        statement = self._update_conversation.get(columns)
        if statement is None:
            statement = self._update_conversation[columns] = update_rows(self.tables.conversation, "id", columns=columns)
        return statement


def _one(statement: Select[Any], *names: str) -> CompiledStatement:
    """Return a statement with these parameters after ``a``."""
    return CompiledStatement(lambda rows: statement, common=("a", *names))


def some_states(states: frozenset[MemberState] | None) -> Sequence[str]:
    """Return the parameters of ``members_in``, in the database's own words; none for ``members``."""
    words = [state.value for state in states or ()]
    return [*words, *words[:1] * (len(_STATES) - len(words))]


def _present_first(member: Table) -> Select[Any]:
    """Return at most so many members of a conversation, and bytes of them, those first that have not left."""
    has_left = (member.c.state == fixed(MemberState.LEFT, member.c.state.type)).label("has_left")
    order = (has_left, member.c.created, member.c.id)
    so_far = func.sum(weight([*member.c])).over(order_by=order).label("so_far")
    found = _of(member).where(member.c.conversation_id == bindparam("c")).add_columns(has_left, so_far).subquery()
    those = select(*[found.c[column.name] for column in member.c]).where(found.c.so_far <= _count("bytes"))
    # Without an offset of ours SQLAlchemy makes up a parameter for one.
    return those.order_by(found.c.has_left, found.c.created, found.c.id).limit(_count("limit")).offset(fixed(0))


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
    """Return conversations that have not expired, with the invited and joined members of a user."""
    run = (conversation.c.application_id == member.c.application_id) & (conversation.c.id == member.c.conversation_id)
    return (
        select(conversation, member)
        .select_from(member.join(conversation, run))
        .where(member.c.application_id == bindparam("a"), member.c.user_id == bindparam("user"), _is_present(member), _lasts(conversation))
    )


def _among(memberships: Select[Any], conversation: Table, rows: int) -> Select[Any]:
    return memberships.where(_is_one_of(conversation.c.id, rows))


def _within(table: Table) -> Select[Any]:
    """Return the rows of a table that were created from ``start`` on and before ``end``."""
    created = table.c.created
    return _of(table).where(created >= bindparam("start"), created < bindparam("end"))


def _lasts(conversation: Table) -> Any:
    return conversation.c.expires_at.is_(None) | (conversation.c.expires_at > bindparam("now"))


def _is_present(member: Table) -> Any:
    return member.c.state != fixed(MemberState.LEFT, member.c.state.type)


def _lock(key: Column[Any], rows: int) -> Select[Any]:
    return sought(key, rows).with_for_update()


def _taken(name: Column[Any], rows: int) -> Select[Any]:
    """Return those of so many names that somebody has."""
    return _of(name.table).where(_is_one_of(name, rows)).with_only_columns(name)


def sought(key: Column[Any], rows: int) -> Select[Any]:
    """Return the rows that have one of so many ids, or names, to be locked: in the order of their keys and no others.

    In order, so that two processes that lock several never wait for each other.
    """
    table = key.table
    found = select(table).where(table.c.application_id == bindparam("a"), _is_one_of(key, rows)).order_by(key)
    # Else some would rather read and lock every row of a small table, and so wait for those that nobody asked for.
    return with_index(found, table, "PRIMARY" if key.primary_key else f"{table.name}_{key.name}")


def _sequence_numbers(conversation: Table, rows: int) -> Select[Any]:
    wanted = _of(conversation).where(_is_one_of(conversation.c.id, rows), _lasts(conversation))
    return wanted.with_only_columns(conversation.c.id, conversation.c.sequence_number)


def _hold(key: Column[Any], rows: int) -> Select[Any]:
    return sought(key, rows).with_for_update(read=True)


def _callers(user: Table, member: Table, rows: int) -> Select[Any]:
    """Return users with their invited and joined memberships in a conversation, and once without if they have none."""
    wanted = asked(rows, name=user.c.name.type, conversation=member.c.conversation_id.type)
    a: Any = bindparam("a")
    of_user = (member.c.application_id == a) & (member.c.conversation_id == wanted.c.conversation) & (member.c.user_id == user.c.id)
    found = wanted.join(user, (user.c.application_id == a) & (user.c.name == wanted.c.name)).outerjoin(
        member, of_user & _is_present(member)
    )
    return select(user, member).select_from(found)


def _members(member: Table, key: str, rows: int) -> Select[Any]:
    """Return members by their conversation and their own id or their user's; a user's only those that have not left."""
    wanted = asked(rows, conversation=member.c.conversation_id.type, wanted=member.c[key].type)
    found = _of(member).join(wanted, (member.c.conversation_id == wanted.c.conversation) & (member.c[key] == wanted.c.wanted))
    if key == "id":
        return found
    return found.where(_is_present(member))


def _exclusions(exclusion: Table, rows: int) -> Select[Any]:
    """Return exclusions by their conversation and user."""
    wanted = asked(rows, conversation=exclusion.c.conversation_id.type, user=exclusion.c.user_id.type)
    return _of(exclusion).join(wanted, (exclusion.c.conversation_id == wanted.c.conversation) & (exclusion.c.user_id == wanted.c.user))


def _is_one_of(column: Column[Any], rows: int) -> Any:
    return column.in_([bindparam(f"{column.name}_{row}", type_=column.type) for row in range(rows)])


def _list(name: str) -> Any:
    return bindparam(name, expanding=True)


def _of(table: Table) -> Select[Any]:
    return select(table).where(table.c.application_id == bindparam("a"))
