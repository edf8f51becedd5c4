"""Carrying out changes: load the scenes, let the decisions be taken, write what they change; many at once where they allow it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import ConversationKitError, duplicate_name
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Leg, Member, Receipt, User
from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit_sql.rows import to_leg, to_model, to_row, to_update
from conversation_kit_sql.runner import Ticket
from conversation_kit_sql.statements import Statements


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
    members: dict[str, dict[str, Member]] = field(default_factory=dict)

    def add_users(self, users: Iterable[User]) -> None:
        for user in users:
            self.users[user.id] = user
            self.user_names[user.name] = user

    def scene(self, conversation_id: str, needs: Needs) -> Scene:
        caller = self.user_names.get(needs.caller) if needs.caller is not None else None
        user = self.target(needs)
        people = {found.id for found in (caller, user) if found is not None}
        members = [
            member
            for member in self.members.get(conversation_id, {}).values()
            if member.id in needs.members or (member.is_active and member.user_id in people)
        ]
        if len(members) > 1:
            members.sort(key=lambda member: (member.created, member.id))
        return Scene(self.conversations.get(conversation_id), caller, user, members)

    def target(self, needs: Needs) -> User | None:
        if needs.user_id is not None:
            return self.users.get(needs.user_id)
        return self.user_names.get(needs.user_name) if needs.user_name is not None else None


@dataclass(slots=True)
class _Writes:
    """What a batch has to write, in the order of the statements."""

    application_id: str
    conversations: dict[str, Conversation] = field(default_factory=dict)
    new_members: dict[str, Member] = field(default_factory=dict)
    old_members: dict[str, Member] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    rewritten: list[Event] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    new_legs: dict[str, Leg] = field(default_factory=dict)
    old_legs: dict[str, Leg] = field(default_factory=dict)
    removed_legs: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)

    def add(self, changes: Changes[Any], conversation_id: str | None, *, known_members: Iterable[str], scene: Scene) -> None:
        """Note one decision's changes. ``known_members`` have rows already."""
        if changes.destroyed and conversation_id is not None:
            self.destroyed.append(conversation_id)
        elif changes.conversation is not None:
            self.conversations[changes.conversation.id] = changes.conversation
        for member in changes.members:
            (self.old_members if member.id in known_members and member.id not in self.new_members else self.new_members)[member.id] = member
        self.events.extend(changes.events)
        self.rewritten.extend(changes.rewritten)
        self.receipts.extend(changes.receipts)
        for leg in changes.legs:
            (self.old_legs if scene.leg(leg.id) is not None else self.new_legs)[leg.id] = leg
        self.removed_legs.extend(changes.removed_legs)

    def flush(self, connection: Connection, statements: Statements) -> None:
        """Write it all."""
        tables = statements.tables
        application = self.application_id
        insert = statements.insert
        conversations = [to_update(one, "id") for one in self.conversations.values()]
        try:
            _execute(connection, statements.update_conversation, conversations)
        except IntegrityError as error:
            # The name is all that can be in the way; among several the storage finds out whose by trying each alone.
            raise duplicate_name("conversation", conversations[0]["name"]) from error
        _execute(connection, insert[tables.member.name], [to_row(one) for one in self.new_members.values()])
        members = [to_update(one, "conversation_id", "id") for one in self.old_members.values()]
        _execute(connection, statements.update_member, members)
        events = [
            {"application_id": application, "conversation_id": event.conversation_id, "id": event.id, "data": event.data}
            for event in self.events
        ]
        _execute(connection, insert[tables.event.name], events)
        rewritten = [
            {"key_application_id": application, "key_conversation_id": event.conversation_id, "key_id": event.id, "data": event.data}
            for event in self.rewritten
        ]
        _execute(connection, statements.update_event, rewritten)
        receipts = [to_row(receipt, application_id=application) for receipt in self.receipts]
        _execute(connection, insert[tables.receipt.name], receipts)
        _execute(connection, insert[tables.leg.name], [to_row(leg) for leg in self.new_legs.values()])
        _execute(connection, statements.update_leg, [to_update(leg, "id") for leg in self.old_legs.values()])
        _execute(connection, statements.delete_leg, [{"a": application, "id": id} for id in self.removed_legs])
        for conversation_id in self.destroyed:
            for statement in statements.delete_conversation:
                connection.execute(statement, {"a": application, "c": conversation_id})


def _execute(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


Outcome = tuple[Ticket[Any], Any, BaseException | None]


def carry_out(connection: Connection, statements: Statements, tickets: Sequence[Ticket[Any]]) -> list[Outcome]:
    """Carry out the changes of all tickets in the connection's transaction.

    Returns each ticket with its result, or with the error that its decision raised, to be told once the transaction is committed.
    A decision that raises has written nothing. Raises what the database raises; then none of the changes has happened.
    """
    outcomes: list[Outcome] = []
    plain: dict[str, list[Ticket[Any]]] = {}
    for ticket in tickets:
        if ticket.unit.is_plain:
            plain.setdefault(ticket.unit.application_id, []).append(ticket)
    for application_id, group in plain.items():
        outcomes += _together(connection, statements, application_id, group)
    for ticket in tickets:
        if not ticket.unit.is_plain:
            outcomes.append(_alone(connection, statements, ticket))
    return outcomes


def _together(connection: Connection, statements: Statements, application_id: str, tickets: Sequence[Ticket[Any]]) -> list[Outcome]:
    """Decide on one application's plain changes one after the other, reading and writing once for all of them."""
    units: list[ChangeUnit] = [ticket.unit for ticket in tickets]
    working = _load(connection, statements, application_id, units)
    known = {member_id for members in working.members.values() for member_id in members}
    writes = _Writes(application_id)
    outcomes: list[Outcome] = []
    for ticket, unit in zip(tickets, units, strict=True):
        assert unit.conversation_id is not None
        scene = working.scene(unit.conversation_id, unit.needs)
        try:
            changes = unit.decide(scene)
        except ConversationKitError as error:
            outcomes.append((ticket, None, error))
            continue
        writes.add(changes, unit.conversation_id, known_members=known, scene=scene)
        if changes.conversation is not None:
            working.conversations[unit.conversation_id] = changes.conversation
        if changes.destroyed:
            working.conversations.pop(unit.conversation_id, None)
            writes.conversations.pop(unit.conversation_id, None)
        for member in changes.members:
            working.members.setdefault(unit.conversation_id, {})[member.id] = member
        outcomes.append((ticket, changes, None))
    writes.flush(connection, statements)
    return outcomes


def _load(connection: Connection, statements: Statements, application_id: str, units: Sequence[ChangeUnit]) -> _Working:
    """What the decisions need, in a handful of statements however many they are."""
    working = _Working()
    ids = sorted({unit.conversation_id for unit in units if unit.conversation_id is not None})
    for row in connection.execute(statements.lock_conversations, {"a": application_id, "cs": ids}):
        working.conversations[row.id] = to_model(Conversation, row)
    names = {name for unit in units for name in (unit.needs.caller, unit.needs.user_name) if name is not None}
    if names:
        found = connection.execute(statements.users_named, {"a": application_id, "names": sorted(names)})
        working.add_users(to_model(User, row) for row in found)
    user_ids = {unit.needs.user_id for unit in units if unit.needs.user_id is not None}
    if user_ids:
        found = connection.execute(statements.users, {"a": application_id, "ids": sorted(user_ids)})
        working.add_users(to_model(User, row) for row in found)
    member_ids = {member_id for unit in units for member_id in unit.needs.members}
    if member_ids:
        _add_members(connection, working, statements.members, {"a": application_id, "cs": ids, "ids": sorted(member_ids)})
    if working.users:
        parameters = {"a": application_id, "cs": ids, "users": sorted(working.users)}
        _add_members(connection, working, statements.active_members, parameters)
    return working


def _add_members(connection: Connection, working: _Working, statement: Any, parameters: dict[str, Any]) -> None:
    for row in connection.execute(statement, parameters):
        member = to_model(Member, row)
        working.members.setdefault(member.conversation_id, {})[member.id] = member


def _alone(connection: Connection, statements: Statements, ticket: Ticket[Any]) -> Outcome:
    """Decide on one change that looks at events or legs."""
    unit: ChangeUnit = ticket.unit
    scene = load_scene(connection, statements, unit)
    try:
        changes = unit.decide(scene)
    except ConversationKitError as error:
        return ticket, None, error
    writes = _Writes(unit.application_id)
    writes.add(changes, unit.conversation_id, known_members={member.id for member in scene.members}, scene=scene)
    writes.flush(connection, statements)
    return ticket, changes, None


def load_scene(connection: Connection, statements: Statements, unit: ChangeUnit) -> Scene:
    """The scene of one change."""
    application, conversation, needs = unit.application_id, unit.conversation_id, unit.needs
    events: dict[int, Event] = {}
    if conversation is not None and needs.events:
        rows = connection.execute(statements.events, {"a": application, "c": conversation, "ids": needs.events})
        events = {row.id: Event(application, conversation, row.id, row.data) for row in rows}
        senders = {event.sender for event in events.values() if event.sender is not None}
        needs = Needs(needs.caller, needs.user_id, needs.user_name, (*needs.members, *sorted(senders - set(needs.members))), needs.events)
    working = _load(connection, statements, application, [ChangeUnit(application, conversation, needs, unit.decide)])
    legs = _load_legs(connection, statements, unit)
    if conversation is None:
        caller = working.user_names.get(needs.caller) if needs.caller is not None else None
        return Scene(None, caller, working.target(needs), legs=legs)
    scene = working.scene(conversation, needs)
    if events:
        members = [member.id for member in scene.members]
        parameters = {"a": application, "c": conversation, "ids": list(events), "members": members}
        receipts: dict[int, list[Receipt]] = {}
        for row in connection.execute(statements.receipts_of, parameters):
            receipts.setdefault(row.event_id, []).append(to_model(Receipt, row))
        events = {id: Event(application, conversation, id, event.data, receipts.get(id, ())) for id, event in events.items()}
    return Scene(scene.conversation, scene.caller, scene.user, scene.members, events, legs)


def _load_legs(connection: Connection, statements: Statements, unit: ChangeUnit) -> list[Leg]:
    needs, a = unit.needs, unit.application_id
    legs: dict[str, Leg] = {}
    wanted: list[tuple[Any, dict[str, Any]]] = []
    if needs.legs:
        wanted.append((statements.legs, {"a": a, "ids": needs.legs}))
    if needs.knocking_id is not None:
        wanted.append((statements.knocking_leg, {"a": a, "knocking": needs.knocking_id}))
    if needs.live_legs and unit.conversation_id is not None:
        wanted.append((statements.live_legs, {"a": a, "c": unit.conversation_id}))
    for statement, parameters in wanted:
        for row in connection.execute(statement, parameters):
            leg = to_leg(row)
            legs[leg.id] = leg
    return list(legs.values())
