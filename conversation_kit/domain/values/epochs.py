"""Epoch of the log that a position is in: a database that was put back to an earlier state goes on with another log under the same ids."""

from __future__ import annotations

import re
import secrets

from conversation_kit.domain.errors import StreamEnded, invalid_cursor

FIRST_EPOCH = "0"
"""The epoch of a log that was never put back."""

LARGEST_ID = 2**53
_CURSOR = re.compile(r"([0-9]{1,16})-([0-9a-z]{1,32})")


def new_epoch() -> str:
    """Return an epoch that no log has had."""
    return secrets.token_hex(4)


def cursor_text(position: int, epoch: str) -> str:
    """Return the text of a position in a conversation of this epoch, such as ``5-0``."""
    return f"{position}-{epoch}"


def parse_cursor(after: object) -> tuple[int | None, str | None]:
    """Return the position of a cursor such as ``5``, ``"5-0"`` or ``None``, and the epoch of its log if that is known.

    Raises ``invalid_cursor``.
    """
    epoch = None
    position = after
    if isinstance(after, str):
        found = _CURSOR.fullmatch(after)
        if found is None:
            raise invalid_cursor(after)
        position, epoch = int(found[1]), found[2]
    if position is None:
        return None, None
    if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position <= LARGEST_ID:
        raise invalid_cursor(after)
    return position, epoch


def other_log() -> StreamEnded:
    """Return the error for a position in a log that is no more."""
    return StreamEnded(
        "The server's log was put back to an earlier state: forget what you have of it, read it again, and go on from there.",
        "event:error:other-log",
    )
