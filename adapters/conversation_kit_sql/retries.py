"""Trying a transaction again when the database itself says that it may."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

ATTEMPTS = 8
_CONFLICTS = frozenset({"40001", "40P01"})
"""What PostgreSQL and its kin say of two transactions that cannot be put in a row, or that wait for each other."""

_MYSQL_DEADLOCK = 1213


def patiently(attempt: Callable[[], T], committing: Callable[[], bool]) -> T:
    """What ``attempt`` returns, tried again while nothing was written and the next time may go better.

    That is when transactions met each other, and once when the connection turns out to be broken. ``committing`` tells whether the
    attempt got as far as its commit: what became of that nobody knows, so that trying again could double it.
    """
    broken = False
    for turn in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except DBAPIError as error:
            if turn == ATTEMPTS:
                raise
            if is_conflict(error):
                time.sleep(random.uniform(0, 0.002 * 2**turn))
            elif error.connection_invalidated and not broken and not committing():
                broken = True
            else:
                raise
    raise AssertionError("unreachable")


def is_conflict(error: DBAPIError) -> bool:
    """Whether the transaction was rolled back because of another one, also when that came out only at its commit."""
    cause: Any = error.orig
    return getattr(cause, "sqlstate", None) in _CONFLICTS or (getattr(cause, "args", None) or (None,))[0] == _MYSQL_DEADLOCK
