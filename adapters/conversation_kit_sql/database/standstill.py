"""Standstill: the moment of a fork, in which nobody reads."""

from __future__ import annotations

import threading
import time


class Standstill:
    """Record of the threads that read, which keeps others from beginning while a fork is about to happen.

    There is no lock, because every read would take it: a thread that reads is known before it looks whether it may.
    """

    def __init__(self) -> None:
        self._reading: set[int] = set()
        self._over: threading.Event | None = None
        """Set when the standstill is over; ``None`` while there is none."""

    def enter(self) -> None:
        """Begin to read, when there is no standstill."""
        thread = threading.get_ident()
        self._reading.add(thread)
        while (over := self._over) is not None:
            self._reading.discard(thread)
            over.wait()
            self._reading.add(thread)

    def leave(self) -> None:
        """Undo ``enter``."""
        self._reading.discard(threading.get_ident())

    def begin(self, seconds: float) -> bool:
        """Keep others from reading, and return whether those who read have come to an end within ``seconds``."""
        self._over = threading.Event()
        deadline = time.monotonic() + seconds
        while self._reading:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)
        return True

    def end(self) -> None:
        """Let others read again."""
        over, self._over = self._over, None
        if over is not None:
            over.set()
