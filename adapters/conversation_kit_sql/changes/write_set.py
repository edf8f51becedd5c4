"""Changes that were decided and are still to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import duplicate_name
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Exclusion, Leg, Member, Pointer, Receipt, ReceiptKind
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.values.answers import Answer
from conversation_kit_sql.changes import answers, removals
from conversation_kit_sql.changes.identity_map import MemberKey
from conversation_kit_sql.changes.user_set import UserSet
from conversation_kit_sql.database.compiled import run
from conversation_kit_sql.queries.rows import changed, only_moved_on, to_row, to_update
from conversation_kit_sql.queries.statements import Statements


@dataclass(slots=True)
class WriteSet:
    """Changes that have to be written, in the order of the statements; of a row that changes twice the last version."""

    application_id: str
    before: dict[str, Conversation] = field(default_factory=dict)
    """The conversations as they are in the database."""
    known: set[MemberKey] = field(default_factory=set)
    """Members that are in the database."""
    new_conversations: list[Conversation] = field(default_factory=list)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    members: dict[MemberKey, Member] = field(default_factory=dict)
    pointers: dict[MemberKey, Pointer] = field(default_factory=dict)
    """Pointers that moved after their members were saved, if those were."""
    events: list[Event] = field(default_factory=list)
    rewritten: list[Event] = field(default_factory=list)
    deleted: list[tuple[str, int]] = field(default_factory=list)
    receipts: dict[tuple[str, int, str, ReceiptKind], Receipt] = field(default_factory=dict)
    exclusions: dict[tuple[str, str], Exclusion | None] = field(default_factory=dict)
    """Exclusions by conversation and user; ``None`` for those that were lifted."""
    legs: dict[str, Leg] = field(default_factory=dict)
    removed_legs: dict[str, None] = field(default_factory=dict)
    destroyed: list[tuple[str, int]] = field(default_factory=list)
    """Conversations that go, with the number of events that each of them has."""
    users: UserSet | None = None
    answers: list[Answer] = field(default_factory=list)

    def add(self, changes: Changes[Any], scene: Scene) -> None:
        """Note the changes of one decision on a scene."""
        if changes.answers:
            self.answers.extend(changes.answers)
        for leg in changes.legs:
            self.legs[leg.id] = leg
            self.removed_legs.pop(leg.id, None)
        for leg_id in changes.removed_legs:
            self.legs.pop(leg_id, None)
            self.removed_legs[leg_id] = None
        if changes.new_users or changes.users or changes.removed_users or changes.blocks or changes.unblocked:
            self.users = self.users or UserSet()
            self.users.add(changes, scene.user)
        conversation = scene.conversation
        if conversation is not None:
            self.before.setdefault(conversation.id, conversation)
            if changes.destroyed:
                self.conversations.pop(conversation.id, None)
                self.destroyed.append((conversation.id, conversation.sequence_number))
            else:
                if changes.conversation is not None:
                    self.conversations[conversation.id] = changes.conversation
                self._add_to(conversation.id, changes, scene)
        elif changes.new_conversation is not None:
            self.new_conversations.append(changes.new_conversation)
            self._add_to(changes.new_conversation.id, changes, scene)

    def _add_to(self, conversation_id: str, changes: Changes[Any], scene: Scene) -> None:
        """Note the changes of what is in a conversation."""
        for member in changes.members:
            key = (conversation_id, member.id)
            if key not in self.members and scene.member(member.id) is not None:
                self.known.add(key)
            self.members[key] = member
            self.pointers.pop(key, None)
        for pointer in changes.pointers:
            self.pointers[conversation_id, pointer.member_id] = pointer
        for exclusion in changes.exclusions:
            self.exclusions[conversation_id, exclusion.user_id] = exclusion
        for user_id in changes.lifted:
            self.exclusions[conversation_id, user_id] = None
        self.events.extend(changes.events)
        self.rewritten.extend(changes.rewritten)
        self.deleted.extend((conversation_id, id) for id in changes.deleted)
        for receipt in changes.receipts:
            self.receipts.setdefault((conversation_id, receipt.event_id, receipt.member_id, receipt.kind), receipt)

    def flush(
        self,
        connection: Connection,
        statements: Statements,
        *,
        known_legs: set[str],
        in_doubt: Callable[[], None] | None = None,
    ) -> bool:
        """Write it all, and return whether it is nothing but appended events and moved pointers. The known ones are known to have rows.

        With ``in_doubt`` it may be committed, see ``run``. Raises ``duplicate_name`` and ``key_in_use``.
        """
        a = self.application_id
        if self.answers:
            answers.keep(connection, statements.tables.answer, a, self.answers)
        if self.new_conversations:
            self._flush_new(connection, statements)
        if self.users is not None:
            self.users.flush(connection, statements, a)
        moved = self._flush_conversations(connection, statements)
        last = statements.move_on.bind_exact(connection, moved, a)
        if self.members:
            self._flush_members(connection, statements)
        if self.pointers:
            rows = [(key[0], pointer.member_id, pointer.seen, pointer.seen_messages) for key, pointer in self.pointers.items()]
            last += statements.move_pointers.bind_exact(connection, rows, a)
        if self.events:
            log = [(event.conversation_id, event.id, event.data, event.messages) for event in self.events]
            last += statements.insert_events.bind_exact(connection, log, a)
        more = self.rewritten or self.deleted or self.receipts or self.exclusions or self.legs or self.removed_legs or self.destroyed
        if last:
            run(connection, last, None if more else in_doubt)
        if more:
            self._flush_more(connection, statements, known_legs)
        others = more or self.members or self.new_conversations or self.users is not None
        return not others and len(moved) == len(self.conversations)

    def _flush_new(self, connection: Connection, statements: Statements) -> None:
        # In the order of their names, so that two processes that insert the same ones never wait for each other.
        new = sorted(self.new_conversations, key=attrgetter("name"))
        for conversation in new:
            removals.finish(connection, statements, self.application_id, conversation.id)
        try:
            connection.execute(statements.insert_conversation, [to_row(conversation) for conversation in new])
        except IntegrityError as error:
            raise duplicate_name("conversation", new[0].name) from error

    def _flush_more(self, connection: Connection, statements: Statements, known_legs: set[str]) -> None:
        a = self.application_id
        rewritten = [
            {"key_application_id": a, "key_conversation_id": event.conversation_id, "key_id": event.id, "data": event.data}
            for event in self.rewritten
        ]
        _execute(connection, statements.update_event, rewritten)
        deleted = [{"application_id": a, "conversation_id": conversation_id, "event_id": id} for conversation_id, id in self.deleted]
        _execute(connection, statements.insert_deletion, deleted)
        if self.receipts:
            self._flush_receipts(connection, statements)
        if self.exclusions:
            rows = [{"a": a, "c": conversation_id, "user": user_id} for conversation_id, user_id in self.exclusions]
            _execute(connection, statements.delete_exclusion, rows)
            _execute(connection, statements.insert_exclusion, [to_row(one) for one in self.exclusions.values() if one is not None])
        if self.legs:
            self._flush_legs(connection, statements, known_legs)
        _execute(connection, statements.delete_leg, [{"a": a, "id": id} for id in self.removed_legs])
        if self.destroyed:
            removals.begin(connection, statements.tables, a, self.destroyed)

    def _flush_conversations(self, connection: Connection, statements: Statements) -> list[tuple[str, int, int]]:
        """Write all but those to which nothing but events came, and return the ids and numbers of those."""
        updates: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        moved: list[tuple[str, int, int]] = []
        for id, conversation in self.conversations.items():
            if only_moved_on(conversation, self.before[id]):
                moved.append((id, conversation.sequence_number, conversation.messages))
            elif values := changed(self.before[id], conversation):
                row = {**values, "key_application_id": self.application_id, "key_id": id}
                updates.setdefault(tuple(values), []).append(row)
        for columns, rows in updates.items():
            try:
                connection.execute(statements.update_conversation(columns), rows)
            except IntegrityError as error:
                # The name is all that can be in the way; among several the storage finds out whose by trying each alone.
                raise duplicate_name("conversation", rows[0].get("name", "")) from error
        return moved

    def _flush_members(self, connection: Connection, statements: Statements) -> None:
        known = self.known
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
