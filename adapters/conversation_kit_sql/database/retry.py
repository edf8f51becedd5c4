"""Trying a transaction again when the database itself says that it may."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from conversation_kit_sql.database.errors import is_conflict

T = TypeVar("T")

ATTEMPTS = 16
"""Number of tries for a transaction that always loses against others, which take one to three seconds."""

LONGEST_PAUSE = 0.25


def patiently(attempt: Callable[[], T], committing: Callable[[], bool]) -> T:
    """Return the result of ``attempt``, tried again while nothing was written and the next time may go better.

    That is when transactions met each other, and once when the connection turns out to be broken. ``committing`` tells whether the
    attempt got as far as its commit: what became of that nobody knows, so that trying again could double it.
    """
    broken = False
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except DBAPIError as error:
            if number == ATTEMPTS:
                raise
            if is_conflict(error):
                pause(number)
            elif error.connection_invalidated and not broken and not committing():
                broken = True
            else:
                raise
    raise AssertionError("unreachable")


def pause(tries: int) -> None:
    """Let the others of a conflict go first, for longer each time."""
    time.sleep(random.uniform(0, min(0.002 * 2**tries, LONGEST_PAUSE)))
