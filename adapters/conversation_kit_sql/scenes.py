"""What one group of changes leaves in SQLite for the next one, so that it need not be read again."""

from __future__ import annotations

from sqlalchemy import Connection

from conversation_kit_sql.engines import Database
from conversation_kit_sql.working import Working

MOST = 4096
"""How many rows of an application are remembered."""


class Scenes:
    """Remembers what the last transaction saw and wrote, by application. Used by one thread at a time.

    It holds for the very next transaction of the same connection, if no other connection has committed in between, which
    SQLite's ``data_version`` tells. Whoever writes anything but appended events and pointers keeps nothing.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._transaction = 0
        self._version = 0
        self._kept: dict[str, Working] = {}

    def take(self, database: Database, connection: Connection) -> dict[str, Working] | None:
        """What still holds in this transaction, which is the writer already; ``None`` if the database is none for it.

        Give it to ``keep`` after the commit.
        """
        kept, self._kept = self._kept, {}
        if not (database.is_sqlite and database.keeps):
            return None
        version = connection.connection.cursor().execute("PRAGMA data_version").fetchone()[0]
        holds = connection is self._connection and version == self._version and database.transactions == self._transaction + 1
        self._connection, self._transaction, self._version = connection, database.transactions, version
        return kept if holds else {}

    def keep(self, scenes: dict[str, Working] | None) -> None:
        """The transaction has committed, and these are what it took and changed."""
        self._kept = {application_id: working for application_id, working in (scenes or {}).items() if len(working) <= MOST}
