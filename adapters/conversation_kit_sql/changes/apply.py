"""Carrying out changes: load the scenes, let the decisions be taken, write what they change; many at once where they allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection

from conversation_kit.domain.errors import duplicate_name
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Block, Leg, Member, Receipt, User
from conversation_kit.domain.scene import Changes, Decide, Invitations, Needs, Scene, Ties
from conversation_kit.domain.values.immutable import immutable
from conversation_kit_sql.changes.identity_map import IdentityMap, MemberKey
from conversation_kit_sql.changes.write_set import WriteSet
from conversation_kit_sql.database.compiled import run
from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.queries.rows import caller_of, conversation_of, exclusion_of, member_of, to_leg, to_model, user_of
from conversation_kit_sql.queries.statements import Statements
from conversation_kit_sql.workers.work_queue import Job

MOST_REMEMBERED = 4096
"""Number of conversations, of members, and of callers of one application that a group may know from the last one."""


@immutable
class ChangeUnit:
    """One call of ``Storage.change``."""

    application_id: str
    conversation_id: str | None
    needs: Needs
    decide: Decide[Any]

    @property
    def is_plain(self) -> bool:
        """Tell whether it looks only at the conversation, users and members, as posting a message does."""
        needs = self.needs
        more = needs.events or needs.behind is not None or needs.legs or needs.knocking_id or needs.live_legs or needs.invitations
        more = more or needs.memberships or needs.blocked_id is not None
        # A user's new name shows in members that its neighbours have loaded.
        return not (more or (needs.changes_user and self.conversation_id is not None))


Outcome = tuple[Job[Any], Any, BaseException | None]


def carry_out(
    connection: Connection,
    statements: Statements,
    jobs: Sequence[Job[Any]],
    in_doubt: Callable[[], None] | None = None,
    scenes: dict[str, IdentityMap] | None = None,
) -> list[Outcome]:
    """Carry out the changes of all jobs in the connection's transaction, and with ``in_doubt`` maybe commit it: see ``run``.

    ``scenes`` are what is known already by application, and afterwards what is known then. Returns each job with its result, or with
    the error that its decision raised, to be told once the transaction is committed.
    A decision that raises has written nothing. Raises what the database raises; then none of the changes has happened.
    """
    outcomes: list[Outcome] = []
    plain: dict[str, list[Job[Any]]] = {}
    others: list[Job[Any]] = []
    for job in jobs:
        if job.unit.is_plain:
            plain.setdefault(job.unit.application_id, []).append(job)
        else:
            others.append(job)
    if len(plain) + len(others) > 1 and dialect_of(connection).locks_rows:
        # All at once and in order, so that two processes never hold what the other one waits for.
        for application_id in sorted({job.unit.application_id for job in jobs}):
            _lock(connection, statements, application_id, [one.unit for one in jobs if one.unit.application_id == application_id])
    if len(plain) + len(others) > 1:
        in_doubt = None  # one group's writes are not the last ones
    for application_id, group in plain.items():
        outcomes += _together(connection, statements, application_id, group, in_doubt, scenes if scenes is not None else {})
    if others and scenes:
        scenes.clear()
    for job in others:
        outcomes.append(_alone(connection, statements, job))
    return outcomes


def _together(
    connection: Connection,
    statements: Statements,
    application_id: str,
    jobs: Sequence[Job[Any]],
    in_doubt: Callable[[], None] | None,
    scenes: dict[str, IdentityMap],
) -> list[Outcome]:
    """Decide on one application's plain changes one after the other, reading and writing once for all of them."""
    units: list[ChangeUnit] = [job.unit for job in jobs]
    working = scenes.pop(application_id, None)
    if working is None or max(len(working.conversations), len(working.members), len(working.asked)) > MOST_REMEMBERED:
        working = IdentityMap()
    _look(connection, statements, application_id, units, working)
    pending = WriteSet(application_id)
    outcomes: list[Outcome] = []
    newcomers: list[tuple[Job[Any], Changes[Any], Scene]] = []
    for job, unit in zip(jobs, units, strict=True):
        scene = working.scene(unit.conversation_id, unit.needs)
        try:
            changes = unit.decide(scene)
        except Exception as error:
            outcomes.append((job, None, error))
            continue
        is_new = scene.conversation is None and (changes.new_users or changes.new_conversation is not None)
        if is_new and len(jobs) > 1:
            newcomers.append((job, changes, scene))
            continue
        if scene.conversation is not None:
            working.apply(scene.conversation.id, changes)
        else:
            working.apply_users(changes)
        pending.add(changes, scene)
        outcomes.append((job, changes, None))
    if newcomers:
        outcomes += _admit(connection, statements, newcomers, pending)
    if pending.flush(connection, statements, known_legs=set(), in_doubt=in_doubt):
        scenes[application_id] = working
    return outcomes


def _admit(
    connection: Connection, statements: Statements, newcomers: Sequence[tuple[Job[Any], Changes[Any], Scene]], pending: WriteSet
) -> list[Outcome]:
    """Add the changes that bring somebody new, but for those whose name is taken: it would spoil the transaction for its neighbours."""
    names: list[list[tuple[str, str]]] = []
    for _, changes, _ in newcomers:
        names.append([("user", user.name) for user in changes.new_users])
        if changes.new_conversation is not None:
            names[-1].append(("conversation", changes.new_conversation.name))
    taken: set[tuple[str, str]] = set()
    for noun, statement in statements.taken.items():
        asked = sorted({(name,) for those in names for kind, name in those if kind == noun})
        if asked:
            taken.update((noun, row[0]) for row in statement.rows(connection, asked, pending.application_id))
    outcomes: list[Outcome] = []
    for (job, changes, scene), those in zip(newcomers, names, strict=True):
        lost = next((name for name in those if name in taken), None)
        if lost is not None:
            outcomes.append((job, None, duplicate_name(*lost)))
            continue
        taken.update(those)
        pending.add(changes, scene)
        outcomes.append((job, changes, None))
    return outcomes


def _alone(connection: Connection, statements: Statements, job: Job[Any]) -> Outcome:
    """Decide on one change that looks at events or legs."""
    unit: ChangeUnit = job.unit
    scene = load_scene(connection, statements, unit)
    try:
        changes = unit.decide(scene)
    except Exception as error:
        return job, None, error
    pending = WriteSet(unit.application_id)
    pending.add(changes, scene)
    pending.flush(connection, statements, known_legs={leg.id for leg in scene.legs})
    return job, changes, None


def _lock(connection: Connection, statements: Statements, application_id: str, units: Iterable[ChangeUnit]) -> None:
    """Lock the conversations of the units, and the users that they change, for nobody else to change until the transaction ends."""
    ids = sorted({(unit.conversation_id,) for unit in units if unit.conversation_id is not None})
    users = sorted({(id,) for unit in units for id in changed_users(unit.needs)})
    locks = statements.lock_conversations.bind_padded(connection, ids, application_id)
    run(connection, [*locks, *statements.lock_users.bind_padded(connection, users, application_id)])


def changed_users(needs: Needs) -> Iterator[str]:
    """Yield the ids of the users that a decision changes, or lets block or be blocked."""
    if needs.changes_user and needs.user_id is not None:
        yield needs.user_id
    if needs.blocked_id is not None:
        yield needs.blocked_id


def _look(connection: Connection, statements: Statements, application_id: str, units: Sequence[ChangeUnit], working: IdentityMap) -> None:
    """Lock the conversations of the units, and then see all that the decisions need and that is not known yet.

    That takes a handful of statements, however many the units are. On a database with row locks nothing may be known yet.
    """
    conversations, callers, ids, names = set(), set(), set(), set()
    locked: set[tuple[str]] = set()
    locked_names: set[tuple[str]] = set()
    working.users.clear()
    working.user_names.clear()
    for unit in units:
        needs, id = unit.needs, unit.conversation_id
        if id is not None and id not in working.conversations:
            conversations.add((id,))
        if needs.caller is not None and (caller := (needs.caller, id or "")) not in working.asked:
            callers.add(caller)
        if needs.changes_user or needs.blocked_id is not None:
            locked.update((id,) for id in changed_users(needs))
            if needs.changes_user and needs.user_id is None and needs.user_name is not None:
                locked_names.add((needs.user_name,))
        if needs.user_id is not None:
            ids.add((needs.user_id,))
        elif needs.user_name is not None:
            names.add((needs.user_name,))
    if conversations or callers or ids or names or locked or locked_names:
        locks = statements.lock_conversations.bind_padded(connection, sorted(conversations), application_id)
        # Those acted upon are held, so that nobody renames or deletes a user who is just about to join. They may be the callers too, who
        # are looked up after that, for this may have waited for somebody who did.
        holds = statements.hold_users.bind_padded(connection, sorted(ids - locked), application_id)
        holds += statements.hold_users_named.bind_padded(connection, sorted(names - locked_names), application_id)
        if locked or locked_names:
            # Those that are changed come first, or two processes might both hold a user that they are going to change.
            changed = statements.lock_users.bind_padded(connection, sorted(locked), application_id)
            holds = [*changed, *statements.lock_users_named.bind_padded(connection, sorted(locked_names), application_id), *holds]
        looks = statements.callers.bind_padded(connection, sorted(callers), application_id)
        found = iter(run(connection, [*locks, *holds, *looks]))
        working.asked |= callers
        for row in chain.from_iterable(islice(found, len(locks))):
            conversation = conversation_of(tuple(row))
            working.conversations[conversation.id] = conversation
        for row in chain.from_iterable(islice(found, len(holds))):
            working.add_user(user_of(tuple(row)))
        for row in chain.from_iterable(found):
            user, member = caller_of(tuple(row))
            working.callers[user.name] = user
            if member is not None:
                working.add_member(member)
    _look_for_members(connection, statements, application_id, working, units)


def _look_for_members(
    connection: Connection,
    statements: Statements,
    application_id: str,
    working: IdentityMap,
    units: Sequence[ChangeUnit],
    more: Iterable[str] = (),
) -> None:
    """Add the members that the units name, and those of ``more`` and of users acted upon."""
    named: set[MemberKey] = set()
    of_users: set[tuple[str, str]] = set()
    kept_out: set[tuple[str, str]] = set()
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
            if unit.needs.exclusion:
                kept_out.add((id, user.id))
    if named or of_users:
        looks = statements.members_of_users.bind_padded(connection, sorted(of_users), application_id)
        looks += statements.members_named.bind_padded(connection, sorted(named), application_id)
        for row in chain.from_iterable(run(connection, looks)):
            working.add_member(member_of(tuple(row)))
    if kept_out:
        working.exclusions.update(dict.fromkeys(kept_out))
        for row in statements.exclusions_of.rows(connection, sorted(kept_out), application_id):
            exclusion = exclusion_of(tuple(row))
            working.exclusions[exclusion.conversation_id, exclusion.user_id] = exclusion


def load_scene(connection: Connection, statements: Statements, unit: ChangeUnit) -> Scene:
    """Return the scene of one change; its conversation is locked first."""
    a, needs = unit.application_id, unit.needs
    working = IdentityMap()
    _look(connection, statements, a, [unit], working)
    conversation = working.conversations.get(unit.conversation_id or "")
    events: dict[int, Event] = {}
    if conversation is not None and needs.events:
        ids = [id for id in needs.events if 1 <= id <= conversation.sequence_number]
        rows = connection.execute(statements.scene_events, {"a": a, "c": conversation.id, "ids": ids}) if ids else ()
        events = {row.id: Event(a, conversation.id, row.id, row.data, messages=row.messages) for row in rows}
    named = {event.sender for event in events.values() if event.sender is not None}
    if conversation is not None and needs.behind is not None:
        for row in connection.execute(statements.members_behind, {"a": a, "c": conversation.id, "event": needs.behind}):
            working.add_member(to_model(Member, row))
            named.add(row.id)
    if named:
        _look_for_members(connection, statements, a, working, [unit], named)
    scene = working.scene(unit.conversation_id, replace(needs, members=(*needs.members, *named)))
    if events and scene.members:
        parameters = {"a": a, "c": unit.conversation_id, "ids": list(events), "members": [member.id for member in scene.members]}
        receipts: dict[int, list[Receipt]] = {}
        for row in connection.execute(statements.receipts_of, parameters):
            receipts.setdefault(row.event_id, []).append(to_model(Receipt, row))
        events = {id: replace(event, receipts=receipts[id]) if id in receipts else event for id, event in events.items()}
    legs = _load_legs(connection, statements, unit, exists=conversation is not None)
    scene = replace(scene, events=events, legs=legs)
    if needs.memberships or needs.blocked_id is not None:
        scene = replace(scene, ties=_load_ties(connection, statements, unit, scene.user, working.users.get(needs.blocked_id or "")))
    if conversation is not None and needs.invitations:
        return replace(scene, invitations=_load_invitations(connection, statements, a, scene))
    return scene


def _load_invitations(connection: Connection, statements: Statements, application_id: str, scene: Scene) -> Invitations:
    caller, user = scene.caller.id if scene.caller else None, scene.user.id if scene.user else None
    parameters = {"a": application_id, "caller": caller, "user": user, "blocked": caller}

    def count(statement: Any) -> int:
        return int(connection.execute(statement, parameters).scalar_one())

    return Invitations(
        count(statements.count_sent) if caller is not None else 0,
        count(statements.count_received) if user is not None else 0,
        caller is not None and user is not None and connection.execute(statements.block, parameters).first() is not None,
    )


def _load_ties(connection: Connection, statements: Statements, unit: ChangeUnit, user: User | None, blocked: User | None) -> Ties:
    needs = unit.needs
    if user is None:
        return Ties(blocked=blocked)
    parameters = {"a": unit.application_id, "user": user.id, "blocked": needs.blocked_id}
    is_member = needs.memberships and connection.execute(statements.membership, parameters).first() is not None
    if needs.blocked_id is None:
        return Ties(is_member)
    block = connection.execute(statements.block, parameters).first()
    blocks = connection.execute(statements.count_blocks, parameters).scalar_one()
    return Ties(is_member, blocked, None if block is None else to_model(Block, block), blocks)


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
