"""Pages of events that were read lately.

Whatever happens to a conversation's log, its receipts and its deleted events included, appends an event. So a page is what it was as long
as the last event of its conversation is, and a reader has to look at that one only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from conversation_kit.domain.events import EventPage
from conversation_kit.domain.reading import EventRange

MAX_TEXT = 16_000_000
"""How many characters of pages are remembered."""

MAX_LATEST = 4096
"""How long a last event may be, in characters, to be compared with: each read sends it to the database."""

_OVERHEAD = 500
"""What a page takes beside its text, in characters."""


PageKey: TypeAlias = tuple[str, str, EventRange]
"""The ids of an application and of a conversation, and which page of it; not who reads it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A page, and the text of the last event in its conversation when it was read."""

    page: EventPage
    latest: str


class PageMemory:
    """The pages read last. May be used from several threads. What was read in a transaction that is not committed does not belong here."""

    def __init__(self, most: int = MAX_TEXT) -> None:
        self._most = most
        self._pages: OrderedDict[PageKey, Remembered] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def find(self, key: PageKey) -> Remembered | None:
        """The page as it was, to be compared with what there is now."""
        with self._lock:
            found = self._pages.get(key)
            if found is not None:
                self._pages.move_to_end(key)
            return found

    def keep(self, key: PageKey, page: EventPage, latest: str) -> None:
        """Remember a page in place of those that nobody has asked for longest."""
        if len(latest) > MAX_LATEST:
            return
        with self._lock:
            self._drop(key)
            self._pages[key] = kept = Remembered(page, latest)
            self._size += _size(kept)
            while self._size > self._most:
                self._drop(next(iter(self._pages)))

    def _drop(self, key: PageKey) -> None:
        dropped = self._pages.pop(key, None)
        if dropped is not None:
            self._size -= _size(dropped)


def _size(remembered: Remembered) -> int:
    return len(remembered.page.text) + len(remembered.latest) + _OVERHEAD
