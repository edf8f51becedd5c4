"""An event loop, as other threads reach it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from anyio.lowlevel import current_token


class Loop:
    """The event loop that runs where this is made."""

    __slots__ = ("_call_soon",)

    def __init__(self) -> None:
        loop: Any = current_token().native_token
        # anyio can only call and wait for the answer.
        self._call_soon: Callable[..., object] = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon

    def call_soon(self, function: Callable[..., None], *arguments: object) -> None:
        """Call it on the event loop, after what was passed before. Any thread may do so; nothing happens if the loop has ended."""
        with suppress(RuntimeError):
            self._call_soon(function, *arguments)
