"""The lock of those who write in one process: one thread has it at a time, and nobody waits for it for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from conversation_kit.domain.errors import StorageUnavailable

LOCK_SECONDS = 30.0
"""Seconds that a write waits for another one of this process. The database ends what takes long there; nobody ends a hook of the host's."""


@contextmanager
def holding(writer: RLock) -> Iterator[None]:
    """Have ``writer`` for the block. Raises ``StorageUnavailable`` when it is not to be had."""
    if not writer.acquire(timeout=LOCK_SECONDS):
        raise overdue()
    try:
        yield
    finally:
        writer.release()


def overdue() -> StorageUnavailable:
    """Return the error of a write that waited for too long."""
    return StorageUnavailable(
        f"Another write of this process has not ended for {LOCK_SECONDS:g} s. "
        "Is it a within hook that waits for a thread that calls the kit? "
        "The kit waits for the transaction that the hook is in, so call it from a receiver (@kit.on), after the commit."
    )
