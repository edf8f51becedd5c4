"""Record of the processes that use an SQLite file, for a warning.

SQLite before 3.51.3 can lose commits when one process moves the write-ahead log while another one starts it anew.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from conversation_kit import forks

try:
    import fcntl
except ImportError:  # pragma: no cover  (Windows)
    fcntl = None  # type: ignore[assignment]

SUFFIX = "-users"
"""End of the name of the empty file beside the database."""

FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The first versions without the bug, of each branch that has one."""

log = logging.getLogger("conversation_kit_sql")
_here: dict[tuple[int, str], tuple[int, int]] = {}
"""The open lock files of this process, with how many databases use each; by process, because a fork inherits what is not its own."""

_guard = forks.lock()


def is_affected(version: tuple[int, ...]) -> bool:
    """Tell whether SQLite of this version has the bug."""
    return version < FIXED[-1] and not any(fixed <= version < (*fixed[:1], fixed[1] + 1) for fixed in FIXED)


def enter(file: str) -> bool:
    """Note that this process uses the SQLite ``file``, and return whether another one does. Undone by ``leave``; never waits for anybody.

    Each process holds a shared lock on an empty file beside the database, which the system takes back however the process ends. Whoever
    cannot have it alone for a moment is not alone. It is not the database itself that is locked: closing it would take SQLite's own locks.
    """
    if fcntl is None:  # pragma: no cover
        return False
    key = _key(file)
    with _guard:
        if key in _here:
            handle, count = _here[key]
            _here[key] = handle, count + 1
            return False
        try:
            handle = os.open(key[1] + SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _mode_of(key[1]))
        except OSError:
            return False  # then the database cannot be written either, or nobody can know
        _here[key] = handle, 1
        others = not _lock(handle, fcntl.LOCK_EX)
        # Somebody else may just be looking whether they are alone.
        for _ in range(20):
            if _lock(handle, fcntl.LOCK_SH):
                break
            others = True
            time.sleep(0.001)
        return others


def _mode_of(file: str) -> int:
    """Return the rights of the database, so that whoever may use it may use the file beside it."""
    try:
        return os.stat(file).st_mode & 0o666
    except FileNotFoundError:
        return 0o600


def leave(file: str) -> None:
    """Undo one ``enter``."""
    key = _key(file)
    with _guard:
        if key not in _here:
            return
        handle, count = _here.pop(key)
        if count > 1:
            _here[key] = handle, count - 1
        else:
            os.close(handle)


def warn_if_shared(file: str) -> None:
    """Call ``enter``, and say what to do when another process uses the file and this SQLite may lose what they write."""
    if enter(file) and is_affected(sqlite3.sqlite_version_info):
        log.warning(
            "Another process has %s open too, and SQLite %s may lose commits when several processes write (its WAL-reset bug, fixed in "
            "3.51.3, 3.50.7 and 3.44.6): run one process, use a Python with a newer SQLite, or move to PostgreSQL or MariaDB.",
            file,
            sqlite3.sqlite_version,
        )


def _key(file: str) -> tuple[int, str]:
    return os.getpid(), str(Path(file).resolve())


def _lock(handle: int, kind: int) -> bool:
    with suppress(OSError):
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
        return True
    return False
