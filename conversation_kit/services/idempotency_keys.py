"""Idempotency keys, by which the repeats of a request are known, and the requests with one that are under way."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.lowlevel import RunVar

from conversation_kit.domain.errors import InvalidInput, key_in_use

WAIT_SECONDS = 10.0
"""Seconds that a request waits for the first one with its key."""

_VISIBLE = re.compile(r"[!-~]{1,255}")


@dataclass(slots=True)
class IdempotencyKey:
    """Key of one request and its repeats, as one client uses it: 1 to 255 visible ASCII characters.

    ``scope`` is what it is for; without one that is the method that is called, and what its path would name. ``field`` is where it came
    from. ``is_replayed`` says that what was answered last was kept, and not done again. Raises ``InvalidInput``.
    """

    value: str
    scope: str | None = None
    field: str = "idempotency_key"
    is_replayed: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not _VISIBLE.fullmatch(self.value):
            raise InvalidInput({self.field: "must be 1 to 255 visible ASCII characters"})


@dataclass(slots=True)
class UnderWay:
    """Requests of one kit with idempotency keys that are being carried out, in each event loop."""

    _events: RunVar[dict[tuple[str, str], anyio.Event]] = field(default_factory=lambda: RunVar("conversation_kit_under_way"))

    @asynccontextmanager
    async def alone(self, application_id: str, mark: str) -> AsyncIterator[None]:
        """Let one request at a time do something under this mark; others wait, and raise ``key_in_use`` after ``WAIT_SECONDS``."""
        running = self._events.get(None)
        if running is None:
            running = {}
            self._events.set(running)
        key = application_id, mark
        with anyio.move_on_after(WAIT_SECONDS):
            while key in running:
                await running[key].wait()
        if key in running:
            raise key_in_use()
        done = running[key] = anyio.Event()
        try:
            yield
        finally:
            del running[key]
            done.set()
