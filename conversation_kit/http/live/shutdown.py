"""Ending streams when the server is told to stop: servers wait for open connections first, and tell the application afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

WATCHED = (signal.SIGTERM, signal.SIGINT)


class ShutdownWatch:
    """Hears SIGTERM and SIGINT before those who handle them, while there are streams and the main thread serves them.

    ``end_streams`` is called first, then whoever had the signal before. ``enabled`` ``False`` leaves all signals alone.
    """

    def __init__(self, end_streams: Callable[[], None], *, enabled: bool = True) -> None:
        self._end_streams = end_streams
        self._enabled = enabled
        self._before: dict[int, Any] = {}

    def watch(self) -> None:
        """Begin to listen, or see that nobody has taken a signal since; cheap."""
        if not self._enabled or threading.current_thread() is not threading.main_thread():
            return
        for number in WATCHED:
            current = signal.getsignal(number)
            # None is a handler that is not Python's, and that nobody could call or put back.
            if number not in self._before and current is not None and current is not signal.SIG_IGN:
                self._before[number] = current
                signal.signal(number, self._hear)

    def unwatch(self) -> None:
        """Give the signals back to those who had them, unless somebody else has them by now."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in tuple(self._before.items()):
            if signal.getsignal(number) == self._hear:
                signal.signal(number, before)
                del self._before[number]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._end_streams()
        before = self._before[number]
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
