"""Carrying out changes: load the scenes, let the decisions be taken, write what they change; many at once where they allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection

from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Leg, Receipt
from conversation_kit.domain.scene import Decide, Needs, Scene
from conversation_kit_sql.lanes import Ticket
from conversation_kit_sql.pending import Pending
from conversation_kit_sql.prepared import together
from conversation_kit_sql.rows import caller_of, conversation_of, member_of, to_leg, to_model, user_of
from conversation_kit_sql.statements import Statements
from conversation_kit_sql.working import MemberKey, Working


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


Outcome = tuple[Ticket[Any], Any, BaseException | None]


def carry_out(
    connection: Connection,
    statements: Statements,
    tickets: Sequence[Ticket[Any]],
    in_doubt: Callable[[], None] | None = None,
    scenes: dict[str, Working] | None = None,
) -> list[Outcome]:
    """Carry out the changes of all tickets in the connection's transaction, and with ``in_doubt`` maybe commit it: see ``together``.

    ``scenes`` are what is known already by application, and afterwards what is known then. Returns each ticket with its result, or with
    the error that its decision raised, to be told once the transaction is committed.
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
        outcomes += _together(connection, statements, application_id, group, in_doubt, scenes if scenes is not None else {})
    if others and scenes:
        scenes.clear()
    for ticket in others:
        outcomes.append(_alone(connection, statements, ticket))
    return outcomes


def _together(
    connection: Connection,
    statements: Statements,
    application_id: str,
    tickets: Sequence[Ticket[Any]],
    in_doubt: Callable[[], None] | None,
    scenes: dict[str, Working],
) -> list[Outcome]:
    """Decide on one application's plain changes one after the other, reading and writing once for all of them."""
    units: list[ChangeUnit] = [ticket.unit for ticket in tickets]
    working = scenes.pop(application_id, None) or Working()
    _look(connection, statements, application_id, units, working)
    pending = Pending(application_id)
    outcomes: list[Outcome] = []
    for ticket, unit in zip(tickets, units, strict=True):
        scene = working.scene(unit.conversation_id, unit.needs)
        try:
            changes = unit.decide(scene)
        except Exception as error:
            outcomes.append((ticket, None, error))
            continue
        pending.add(changes, scene.conversation, working.members.__contains__)
        if scene.conversation is not None:
            working.apply(scene.conversation.id, changes)
        outcomes.append((ticket, changes, None))
    if pending.flush(connection, statements, known_legs=set(), in_doubt=in_doubt):
        scenes[application_id] = working
    return outcomes


def _alone(connection: Connection, statements: Statements, ticket: Ticket[Any]) -> Outcome:
    """Decide on one change that looks at events or legs."""
    unit: ChangeUnit = ticket.unit
    scene = load_scene(connection, statements, unit)
    try:
        changes = unit.decide(scene)
    except Exception as error:
        return ticket, None, error
    pending = Pending(unit.application_id)
    pending.add(changes, scene.conversation, lambda key: scene.member(key[1]) is not None)
    pending.flush(connection, statements, known_legs={leg.id for leg in scene.legs})
    return ticket, changes, None


def _lock(connection: Connection, statements: Statements, application_id: str, units: Iterable[ChangeUnit]) -> None:
    """Lock the conversations of the units for nobody else to change until the transaction ends."""
    ids = sorted({(unit.conversation_id,) for unit in units if unit.conversation_id is not None})
    statements.lock_conversations.rows(connection, ids, application_id)


def _look(connection: Connection, statements: Statements, application_id: str, units: Sequence[ChangeUnit], working: Working) -> None:
    """Lock the conversations of the units, and then see all that the decisions need and that is not known yet.

    That takes a handful of statements, however many the units are. On a database with row locks nothing may be known yet.
    """
    conversations, callers, ids, names = set(), set(), set(), set()
    for unit in units:
        needs, id = unit.needs, unit.conversation_id
        if id is not None and id not in working.conversations:
            conversations.add((id,))
        if needs.caller is not None and (caller := (needs.caller, id or "")) not in working.asked:
            callers.add(caller)
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
    working.asked |= callers
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


def _look_for_members(
    connection: Connection,
    statements: Statements,
    application_id: str,
    working: Working,
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
    working = Working()
    _look(connection, statements, a, [unit], working)
    conversation = working.conversations.get(unit.conversation_id or "")
    events: dict[int, Event] = {}
    if conversation is not None and needs.events:
        ids = [id for id in needs.events if 1 <= id <= conversation.sequence_number]
        rows = connection.execute(statements.events, {"a": a, "c": conversation.id, "ids": ids}) if ids else ()
        events = {row.id: Event(a, conversation.id, row.id, row.data, messages=row.messages) for row in rows}
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
