"""Scenes that one group of changes leaves in SQLite for the next one, so that they need not be read again."""

from __future__ import annotations

from sqlalchemy import Connection

from conversation_kit_sql.changes.identity_map import IdentityMap
from conversation_kit_sql.database.database import Database

MOST = 4096
"""Number of rows of an application that are remembered at most."""


class SceneCache:
    """Memory of what the last transaction saw and wrote, by application. Used by one thread at a time.

    It holds for the very next transaction of the same connection, if no other connection has committed in between, which
    the database has to tell. Whoever writes anything but appended events and pointers keeps nothing.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._transaction = 0
        self._version = 0
        self._kept: dict[str, IdentityMap] = {}

    def take(self, database: Database, connection: Connection) -> dict[str, IdentityMap] | None:
        """Return what still holds in this transaction, which is the writer already; ``None`` if the database is none for it.

        Give it to ``keep`` after the commit.
        """
        kept, self._kept = self._kept, {}
        counter = database.dialect.commit_counter
        if counter is None or not database.keeps:
            return None
        version = connection.connection.cursor().execute(counter).fetchone()[0]
        holds = connection is self._connection and version == self._version and database.transactions == self._transaction + 1
        self._connection, self._transaction, self._version = connection, database.transactions, version
        return kept if holds else {}

    def keep(self, scenes: dict[str, IdentityMap] | None) -> None:
        """Remember what the transaction took and changed, which has committed."""
        self._kept = {application_id: working for application_id, working in (scenes or {}).items() if len(working) <= MOST}


class NoSceneCache(SceneCache):
    """Memory of nothing: every transaction reads what it needs."""

    def take(self, database: Database, connection: Connection) -> None:
        """Return ``None``, as for a database that cannot tell what others have committed."""
        return

    def keep(self, scenes: dict[str, IdentityMap] | None) -> None:
        """Remember nothing."""
