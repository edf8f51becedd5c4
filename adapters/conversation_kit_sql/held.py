"""Conversations that somebody else holds for longer than we wait, so that the others need not wait for them as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection

from conversation_kit_sql.lanes import Ticket
from conversation_kit_sql.statements import Statements

Key: TypeAlias = tuple[str, str]
"""The ids of an application and a conversation."""


class Held:
    """Remembers the conversations whose lock was not to be had. Used by one thread at a time."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._keys: set[Key] = set()

    def __bool__(self) -> bool:
        return bool(self._keys)

    def concerns(self, tickets: Sequence[Ticket[Any]]) -> bool:
        """Whether some of these changes are of a conversation that is remembered."""
        return any(_key(ticket) in self._keys for ticket in tickets)

    def look(self, connection: Connection, tickets: Sequence[Ticket[Any]]) -> list[Ticket[Any]]:
        """Those of these changes whose conversation is held right now. Waits for nobody; raises what the database raises."""
        wanted = {key for ticket in tickets if (key := _key(ticket)) is not None}
        free: set[Key] = set()
        there: set[Key] = set()
        for application_id in sorted({key[0] for key in wanted}):
            ids = sorted((key[1],) for key in wanted if key[0] == application_id)
            there.update((application_id, row[0]) for row in self._statements.conversation_ids.rows(connection, ids, application_id))
            free.update((application_id, row[0]) for row in self._statements.free_conversations.rows(connection, ids, application_id))
        held = there - free
        self._keys -= wanted
        self._keys |= held
        return [ticket for ticket in tickets if _key(ticket) in held]


def _key(ticket: Ticket[Any]) -> Key | None:
    unit = ticket.unit
    return None if unit.conversation_id is None else (unit.application_id, unit.conversation_id)
