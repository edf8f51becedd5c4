"""Users and blocks that decisions have changed and that are still to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import duplicate_name
from conversation_kit.domain.models import Block, User
from conversation_kit.domain.scene import Changes
from conversation_kit_sql.queries.rows import to_row, to_update
from conversation_kit_sql.queries.statements import Statements


@dataclass(slots=True)
class UserSet:
    """Users that are new, changed or removed, and the blocks between them; of a user that changes twice the last version."""

    new: list[User] = field(default_factory=list)
    before: dict[str, User] = field(default_factory=dict)
    """Users as they are in the database."""
    changed: dict[str, User] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    unblocked: list[tuple[str, str]] = field(default_factory=list)

    def add(self, changes: Changes[Any], user: User | None) -> None:
        """Note one decision's changes; ``user`` is the one that it acted upon, as it was before."""
        self.new.extend(changes.new_users)
        for changed in changes.users:
            if user is not None and user.id == changed.id:
                self.before.setdefault(user.id, user)
            self.changed[changed.id] = changed
        for user_id in changes.removed_users:
            self.changed.pop(user_id, None)
            self.removed.append(user_id)
        self.blocks.extend(changes.blocks)
        self.unblocked.extend(changes.unblocked)

    def flush(self, connection: Connection, statements: Statements, application_id: str) -> None:
        """Write it all. Raises ``duplicate_name``."""
        a = application_id
        # In the order of their names, so that two processes that insert the same ones never wait for each other.
        _write(connection, statements.insert_user, [to_row(user) for user in sorted(self.new, key=attrgetter("name"))])
        for user in self.changed.values():
            _write(connection, statements.update_user, [to_update(user, "id")])
            if _shown(user) != _shown(self.before.get(user.id)):
                name, display_name, image_url = _shown(user)
                shown = {"name": name, "display_name": display_name, "image_url": image_url}
                connection.execute(statements.rename_memberships, {"a": a, "user": user.id, **shown})
        for user_id in self.removed:
            for statement in statements.delete_user:
                connection.execute(statement, {"a": a, "id": user_id})
        for block in self.blocks:
            connection.execute(statements.insert_block, to_row(block))
        for user_id, blocked_id in self.unblocked:
            connection.execute(statements.delete_block, {"a": a, "user": user_id, "blocked": blocked_id})


def _shown(user: User | None) -> tuple[str | None, ...]:
    """Return the attributes of a user that memberships show too."""
    return () if user is None else (user.name, user.display_name, user.image_url)


def _write(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    try:
        connection.execute(statement, rows)
    except IntegrityError as error:
        # The name is all that can be in the way; among several the storage finds out whose by trying each alone.
        raise duplicate_name("user", rows[0]["name"]) from error
