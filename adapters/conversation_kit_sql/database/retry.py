"""Trying a transaction again when the database itself says that it may."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from conversation_kit_sql.database.errors import is_conflict

ATTEMPTS = 16
"""Number of tries for a transaction that always loses against others, which take one to three seconds."""

LONGEST_PAUSE = 0.25


@dataclass(slots=True)
class Tries:
    """Tries of one transaction."""

    failed: int = 0
    broken: bool = False

    def again(self, error: Exception, *, committing: bool) -> bool:
        """Tell whether to try once more after an error, because nothing was written and the next time may go better; pause before that.

        That is when transactions met each other, and once when the connection turns out to be broken. ``committing`` tells whether the
        try got as far as its commit: what became of that nobody knows, so that trying again could double it.
        """
        self.failed += 1
        if not isinstance(error, DBAPIError) or self.failed == ATTEMPTS:
            return False
        if is_conflict(error):
            pause(self.failed)
            return True
        if error.connection_invalidated and not self.broken and not committing:
            self.broken = True
            return True
        return False


def pause(tries: int) -> None:
    """Let the others of a conflict go first, for longer each time."""
    time.sleep(random.uniform(0, min(0.002 * 2**tries, LONGEST_PAUSE)))
