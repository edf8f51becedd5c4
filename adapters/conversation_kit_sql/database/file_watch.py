"""An SQLite file that is deleted or replaced while it is open: SQLite goes on with the file that has no name any more."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from conversation_kit.domain.errors import StorageUnavailable

LOOK_SECONDS = 0.5
"""Seconds between two looks of reads; each write looks."""

log = logging.getLogger("conversation_kit_sql")


class FileWatch:
    """Watch on the file that a name stood for when it was opened. ``None`` for the name: there is nothing to watch."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._identity: tuple[int, int] | None = None
        self._is_gone = False
        self._look_at = 0.0

    def opened(self) -> None:
        """Note the file when a connection was made, if none is noted yet."""
        if self._file is not None and self._identity is None:
            self._identity = self._find()

    def is_due(self) -> bool:
        """Tell whether it is time for a read to look; if so, the next time is ``LOOK_SECONDS`` later."""
        now = time.monotonic()
        if self._identity is None or now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        return True

    def is_replaced(self) -> bool:
        """Tell whether the name stands for another file now, which is the one to use from then on.

        Raises ``StorageUnavailable`` while there is no file, because what is written then is lost when the last connection is closed.
        """
        if self._identity is None:
            return False
        found = self._find()
        if found is None:
            if not self._is_gone:
                log.error(
                    "The SQLite file %s was deleted while it is in use, so nothing more is written: put it back. What no copy has is lost "
                    "when this server stops.",
                    self._file,
                )
            self._is_gone = True
            raise StorageUnavailable(f"The SQLite file {Path(str(self._file)).absolute()} is gone: put it back.")
        self._is_gone = False
        if found == self._identity:
            return False
        log.error("The SQLite file %s was replaced while it is in use: from now on the new one is read and written.", self._file)
        self._identity = found
        return True

    def _find(self) -> tuple[int, int] | None:
        try:
            found = os.stat(str(self._file))
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino
