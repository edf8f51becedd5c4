"""Ephemeral events that wait until their listener has caught up with the log."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from conversation_kit.domain.events import Event
from conversation_kit.domain.values.times import now
from conversation_kit.live.topics import Published

MAX_EVENTS = 64
MAX_TEXT = 262_144
"""Room for what waits: events, and characters of their JSON. One event may always wait."""

MISSED = "events:missed"
"""The type of what a listener gets, without an id, in place of ephemeral events that found no room: ``{"count": 136}``."""


class EphemeralBacklog:
    """The newest ephemeral events for one listener, and how many older ones of each conversation had to make room for them."""

    __slots__ = ("_missed", "_size", "items")

    def __init__(self) -> None:
        self.items: deque[Published] = deque()
        """Oldest first; when there are none, none were missed either."""
        self._size = 0
        self._missed: Counter[tuple[str, str]] = Counter()

    def put(self, item: Published) -> None:
        """Let one wait."""
        self.items.append(item)
        self._size += len(item.event.data)
        while len(self.items) > MAX_EVENTS or (self._size > MAX_TEXT and len(self.items) > 1):
            event = self.items.popleft().event
            self._size -= len(event.data)
            self._missed[event.application_id, event.conversation_id] += 1

    def take(self) -> Iterator[Published]:
        """All of them, after what tells how many were missed; nothing waits afterwards."""
        items, missed = self.items, self._missed
        self.items, self._missed, self._size = deque(), Counter(), 0
        for conversation, number in missed.items():
            yield Published(Event.compose(*conversation, None, type=MISSED, body={"count": number}, timestamp=now()))
        yield from items
