"""Carrying out changes: load the scenes, let the decisions be taken, write what they change; many at once where they allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any, TypeAlias

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import duplicate_name
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Leg, Member, Receipt, ReceiptKind, User
from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit_sql.lanes import Ticket
from conversation_kit_sql.prepared import Statement, together
from conversation_kit_sql.rows import (
    caller_of,
    changed,
    conversation_of,
    member_of,
    only_moved_on,
    to_leg,
    to_model,
    to_row,
    to_update,
    user_of,
)
from conversation_kit_sql.statements import Statements

MemberKey: TypeAlias = tuple[str, str]
"""The ids of a conversation and of a member in it."""

_NOBODY: Mapping[str, Member] = {}


@dataclass(frozen=True, slots=True)
class ChangeUnit:
    """One call of ``Storage.change``."""

    application_id: str
    conversation_id: str | None
    needs: Needs
    decide: Decide[Any]

    @property
    def is_plain(self) -> bool:
        """Whether it looks only at the conversation, users and members, as posting a message does."""
        needs = self.needs
        return self.conversation_id is not None and not (needs.events or needs.legs or needs.knocking_id or needs.live_legs)


@dataclass(slots=True)
class _Working:
    """The state of one application's conversations as the decisions of a batch leave it."""

    conversations: dict[str, Conversation] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    user_names: dict[str, User] = field(default_factory=dict)
    members: dict[MemberKey, Member] = field(default_factory=dict)
    memberships: dict[tuple[str, str], dict[str, Member]] = field(default_factory=dict)
    """The members of a conversation and a user, by their ids."""

    def add_user(self, user: User) -> None:
        self.users[user.id] = user
        self.user_names[user.name] = user

    def add_member(self, member: Member) -> None:
        self.members[member.conversation_id, member.id] = member
        self.memberships.setdefault((member.conversation_id, member.user_id), {})[member.id] = member

    def user(self, needs: Needs) -> User | None:
        """The user acted upon."""
        if needs.user_id is not None:
            return self.users.get(needs.user_id)
        return self.user_names.get(needs.user_name) if needs.user_name is not None else None

    def scene(self, conversation_id: str | None, needs: Needs) -> Scene:
        caller = self.user_names.get(needs.caller) if needs.caller is not None else None
        user = self.user(needs)
        conversation = self.conversations.get(conversation_id) if conversation_id is not None else None
        if conversation is None:
            return Scene(None, caller, user)
        found = {id: member for id in needs.members if (member := self.members.get((conversation.id, id))) is not None}
        for person in (caller, user):
            if person is not None:
                for member in self.memberships.get((conversation.id, person.id), _NOBODY).values():
                    if member.is_active:
                        found[member.id] = member
        if len(found) > 1:
            return Scene(conversation, caller, user, sorted(found.values(), key=lambda member: (member.created, member.id)))
        return Scene(conversation, caller, user, list(found.values()))

    def apply(self, conversation_id: str, changes: Changes[Any]) -> None:
        """What the next decision on this conversation sees."""
        if changes.destroyed:
            del self.conversations[conversation_id]
            return  # nobody looks at members without their conversation, and there will be no other one with its id
        if changes.conversation is not None:
            self.conversations[conversation_id] = changes.conversation
        for member in changes.members:
            self.add_member(member)


@dataclass(slots=True)
class _Writes:
    """What has to be written, in the order of the statements; of a row that changes twice the last version."""

    application_id: str
    before: Mapping[str, Conversation]
    conversations: dict[str, Conversation] = field(default_factory=dict)
    members: dict[MemberKey, Member] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    rewritten: list[Event] = field(default_factory=list)
    receipts: dict[tuple[str, int, str, ReceiptKind], Receipt] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    removed_legs: dict[str, None] = field(default_factory=dict)
    destroyed: list[str] = field(default_factory=list)

    def add(self, changes: Changes[Any], conversation_id: str | None) -> None:
        """Note one decision's changes. ``conversation_id`` is ``None`` when there is no such conversation: only legs are in play then."""
        for leg in changes.legs:
            self.legs[leg.id] = leg
            self.removed_legs.pop(leg.id, None)
        for leg_id in changes.removed_legs:
            self.legs.pop(leg_id, None)
            self.removed_legs[leg_id] = None
        if conversation_id is None:
            return
        if changes.destroyed:
            self.conversations.pop(conversation_id, None)
            self.destroyed.append(conversation_id)
            return
        if changes.conversation is not None:
            self.conversations[conversation_id] = changes.conversation
        for member in changes.members:
            self.members[conversation_id, member.id] = member
        self.events.extend(changes.events)
        self.rewritten.extend(changes.rewritten)
        for receipt in changes.receipts:
            self.receipts.setdefault((conversation_id, receipt.event_id, receipt.member_id, receipt.kind), receipt)

    def flush(
        self,
        connection: Connection,
        statements: Statements,
        *,
        known_members: set[MemberKey],
        known_legs: set[str],
        in_doubt: Callable[[], None] | None = None,
    ) -> None:
        """Write it all. The known ones are known to have rows. With ``in_doubt`` it may be committed, see ``together``.

        Raises ``duplicate_name``.
        """
        a = self.application_id
        last = self._flush_conversations(connection, statements)
        if self.members:
            self._flush_members(connection, statements, known_members)
        if self.events:
            rows = [(event.conversation_id, event.id, event.data) for event in self.events]
            last += statements.insert_events.exactly(connection, rows, a)
        more = self.rewritten or self.receipts or self.legs or self.removed_legs or self.destroyed
        if last:
            together(connection, last, None if more else in_doubt)
        if more:
            self._flush_more(connection, statements, known_legs)

    def _flush_more(self, connection: Connection, statements: Statements, known_legs: set[str]) -> None:
        a = self.application_id
        rewritten = [
            {"key_application_id": a, "key_conversation_id": event.conversation_id, "key_id": event.id, "data": event.data}
            for event in self.rewritten
        ]
        _execute(connection, statements.update_event, rewritten)
        if self.receipts:
            self._flush_receipts(connection, statements)
        if self.legs:
            self._flush_legs(connection, statements, known_legs)
        _execute(connection, statements.delete_leg, [{"a": a, "id": id} for id in self.removed_legs])
        for conversation_id in self.destroyed:
            for statement in statements.delete_conversation:
                connection.execute(statement, {"a": a, "c": conversation_id})

    def _flush_conversations(self, connection: Connection, statements: Statements) -> list[Statement]:
        """Write all but those to which nothing but events came, for which it returns statements."""
        updates: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        moved: list[tuple[str, int]] = []
        for id, conversation in self.conversations.items():
            if only_moved_on(self.before[id], conversation):
                moved.append((id, conversation.sequence_number))
            elif values := changed(self.before[id], conversation):
                row = {**values, "key_application_id": self.application_id, "key_id": id}
                updates.setdefault(tuple(values), []).append(row)
        for columns, rows in updates.items():
            try:
                connection.execute(statements.update_conversation(columns), rows)
            except IntegrityError as error:
                # The name is all that can be in the way; among several the storage finds out whose by trying each alone.
                raise duplicate_name("conversation", rows[0].get("name", "")) from error
        return statements.move_on.exactly(connection, moved, self.application_id)

    def _flush_members(self, connection: Connection, statements: Statements, known: set[MemberKey]) -> None:
        unknown = self.members.keys() - known
        if unknown:
            parameters = {"a": self.application_id, "cs": sorted({key[0] for key in unknown}), "ids": sorted({key[1] for key in unknown})}
            known = known.union((row[0], row[1]) for row in connection.execute(statements.member_keys, parameters))
        new = [to_row(member) for key, member in self.members.items() if key not in known]
        old = [to_update(member, "conversation_id", "id") for key, member in self.members.items() if key in known]
        _execute(connection, statements.insert_member, new)
        _execute(connection, statements.update_member, old)

    def _flush_receipts(self, connection: Connection, statements: Statements) -> None:
        parameters = {
            "a": self.application_id,
            "cs": sorted({key[0] for key in self.receipts}),
            "ids": sorted({key[1] for key in self.receipts}),
            "members": sorted({key[2] for key in self.receipts}),
        }
        there = {tuple(row) for row in connection.execute(statements.receipt_keys, parameters)}
        new = [to_row(receipt, application_id=self.application_id) for key, receipt in self.receipts.items() if key not in there]
        _execute(connection, statements.insert_receipt, new)

    def _flush_legs(self, connection: Connection, statements: Statements, known: set[str]) -> None:
        unknown = sorted(self.legs.keys() - known)
        if unknown:
            known = known.union(connection.execute(statements.leg_ids, {"a": self.application_id, "ids": unknown}).scalars())
        _execute(connection, statements.insert_leg, [to_row(leg) for leg in self.legs.values() if leg.id not in known])
        _execute(connection, statements.update_leg, [to_update(leg, "id") for leg in self.legs.values() if leg.id in known])


def _execute(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


Outcome = tuple[Ticket[Any], Any, BaseException | None]


def carry_out(
    connection: Connection, statements: Statements, tickets: Sequence[Ticket[Any]], in_doubt: Callable[[], None] | None = None
) -> list[Outcome]:
    """Carry out the changes of all tickets in the connection's transaction, and with ``in_doubt`` maybe commit it: see ``together``.

    Returns each ticket with its result, or with the error that its decision raised, to be told once the transaction is committed.
    A decision that raises has written nothing. Raises what the database raises; then none of the changes has happened.
    """
    outcomes: list[Outcome] = []
    plain: dict[str, list[Ticket[Any]]] = {}
    others: list[Ticket[Any]] = []
    for ticket in tickets:
        if ticket.unit.is_plain:
            plain.setdefault(ticket.unit.application_id, []).append(ticket)
        else:
            others.append(ticket)
    if len(plain) + len(others) > 1 and connection.dialect.name != "sqlite":
        # All at once and in order, so that two processes never hold what the other one waits for.
        for application_id in sorted({ticket.unit.application_id for ticket in tickets}):
            _lock(connection, statements, application_id, [one.unit for one in tickets if one.unit.application_id == application_id])
    if len(plain) + len(others) > 1:
        in_doubt = None  # one group's writes are not the last ones
    for application_id, group in plain.items():
        outcomes += _together(connection, statements, application_id, group, in_doubt)
    for ticket in others:
        outcomes.append(_alone(connection, statements, ticket))
    return outcomes


def _together(
    connection: Connection,
    statements: Statements,
    application_id: str,
    tickets: Sequence[Ticket[Any]],
    in_doubt: Callable[[], None] | None,
) -> list[Outcome]:
    """Decide on one application's plain changes one after the other, reading and writing once for all of them."""
    units: list[ChangeUnit] = [ticket.unit for ticket in tickets]
    working = _look(connection, statements, application_id, units)
    known = set(working.members)
    writes = _Writes(application_id, dict(working.conversations))
    outcomes: list[Outcome] = []
    for ticket, unit in zip(tickets, units, strict=True):
        scene = working.scene(unit.conversation_id, unit.needs)
        try:
            changes = unit.decide(scene)
        except Exception as error:
            outcomes.append((ticket, None, error))
            continue
        exists = scene.conversation is not None
        writes.add(changes, unit.conversation_id if exists else None)
        if exists:
            working.apply(unit.conversation_id or "", changes)
        outcomes.append((ticket, changes, None))
    writes.flush(connection, statements, known_members=known, known_legs=set(), in_doubt=in_doubt)
    return outcomes


def _alone(connection: Connection, statements: Statements, ticket: Ticket[Any]) -> Outcome:
    """Decide on one change that looks at events or legs."""
    unit: ChangeUnit = ticket.unit
    scene = load_scene(connection, statements, unit)
    try:
        changes = unit.decide(scene)
    except Exception as error:
        return ticket, None, error
    before = {scene.conversation.id: scene.conversation} if scene.conversation is not None else {}
    writes = _Writes(unit.application_id, before)
    writes.add(changes, unit.conversation_id if before else None)
    known = {(member.conversation_id, member.id) for member in scene.members}
    writes.flush(connection, statements, known_members=known, known_legs={leg.id for leg in scene.legs})
    return ticket, changes, None


def _lock(connection: Connection, statements: Statements, application_id: str, units: Iterable[ChangeUnit]) -> None:
    """Lock the conversations of the units for nobody else to change until the transaction ends."""
    ids = sorted({(unit.conversation_id,) for unit in units if unit.conversation_id is not None})
    statements.lock_conversations.rows(connection, ids, application_id)


def _look(connection: Connection, statements: Statements, application_id: str, units: Sequence[ChangeUnit]) -> _Working:
    """Lock the conversations of the units, and then see all that the decisions need, in a handful of statements however many they are."""
    conversations, callers, ids, names = set(), set(), set(), set()
    for unit in units:
        needs, id = unit.needs, unit.conversation_id
        if id is not None:
            conversations.add((id,))
        if needs.caller is not None:
            callers.add((needs.caller, id or ""))
        if needs.user_id is not None:
            ids.add((needs.user_id,))
        elif needs.user_name is not None:
            names.add((needs.user_name,))
    locks = statements.lock_conversations.filled(connection, sorted(conversations), application_id)
    looks = statements.callers.filled(connection, sorted(callers), application_id)
    # Those acted upon are held, so that nobody deletes a user who is just about to join.
    holds = statements.hold_users.filled(connection, sorted(ids), application_id)
    holds += statements.hold_users_named.filled(connection, sorted(names), application_id)
    found = iter(together(connection, [*locks, *looks, *holds]))
    working = _Working()
    for row in chain.from_iterable(islice(found, len(locks))):
        working.conversations[row[1]] = conversation_of(tuple(row))
    for row in chain.from_iterable(islice(found, len(looks))):
        user, member = caller_of(tuple(row))
        working.add_user(user)
        if member is not None:
            working.add_member(member)
    for row in chain.from_iterable(found):
        working.add_user(user_of(tuple(row)))
    _look_for_members(connection, statements, application_id, working, units)
    return working


def _look_for_members(
    connection: Connection,
    statements: Statements,
    application_id: str,
    working: _Working,
    units: Sequence[ChangeUnit],
    more: Iterable[str] = (),
) -> None:
    """Add the members that the units name, and those of ``more`` and of users acted upon."""
    named: set[MemberKey] = set()
    of_users: set[tuple[str, str]] = set()
    for unit in units:
        id = unit.conversation_id
        if id is None or id not in working.conversations:
            continue
        for member_id in (*unit.needs.members, *more):
            # Mostly a user names a member of its own, which is there by now.
            if (id, member_id) not in working.members:
                named.add((id, member_id))
        user = working.user(unit.needs)
        if user is not None:
            of_users.add((id, user.id))
    if named or of_users:
        looks = statements.members_of_users.filled(connection, sorted(of_users), application_id)
        looks += statements.members_named.filled(connection, sorted(named), application_id)
        for row in chain.from_iterable(together(connection, looks)):
            working.add_member(member_of(tuple(row)))


def load_scene(connection: Connection, statements: Statements, unit: ChangeUnit) -> Scene:
    """The scene of one change; its conversation is locked first."""
    a, needs = unit.application_id, unit.needs
    working = _look(connection, statements, a, [unit])
    conversation = working.conversations.get(unit.conversation_id or "")
    events: dict[int, Event] = {}
    if conversation is not None and needs.events:
        ids = [id for id in needs.events if 1 <= id <= conversation.sequence_number]
        rows = connection.execute(statements.events, {"a": a, "c": conversation.id, "ids": ids}) if ids else ()
        events = {row.id: Event(a, conversation.id, row.id, row.data) for row in rows}
    senders = {event.sender for event in events.values() if event.sender is not None}
    if senders:
        _look_for_members(connection, statements, a, working, [unit], senders)
    scene = working.scene(unit.conversation_id, replace(needs, members=(*needs.members, *senders)))
    if events and scene.members:
        parameters = {"a": a, "c": unit.conversation_id, "ids": list(events), "members": [member.id for member in scene.members]}
        receipts: dict[int, list[Receipt]] = {}
        for row in connection.execute(statements.receipts_of, parameters):
            receipts.setdefault(row.event_id, []).append(to_model(Receipt, row))
        events = {id: replace(event, receipts=receipts[id]) if id in receipts else event for id, event in events.items()}
    legs = _load_legs(connection, statements, unit, exists=conversation is not None)
    return replace(scene, events=events, legs=legs)


def _load_legs(connection: Connection, statements: Statements, unit: ChangeUnit, *, exists: bool) -> list[Leg]:
    needs, a = unit.needs, unit.application_id
    legs: dict[str, Leg] = {}
    wanted: list[tuple[Any, dict[str, Any]]] = []
    if needs.legs:
        wanted.append((statements.legs, {"a": a, "ids": needs.legs}))
    if needs.knocking_id is not None:
        wanted.append((statements.knocking_leg, {"a": a, "knocking": needs.knocking_id}))
    if needs.live_legs and exists:
        wanted.append((statements.live_legs, {"a": a, "c": unit.conversation_id}))
    for statement, parameters in wanted:
        for row in connection.execute(statement, parameters):
            leg = to_leg(row)
            legs[leg.id] = leg
    return list(legs.values())
