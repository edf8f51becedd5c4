"""Pages of events that were read lately.

Whatever happens to a conversation's log, its receipts and its deleted events included, appends an event. So a page is what it was as long
as the last event of its conversation is, and a reader has to look at that one only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from conversation_kit import forks
from conversation_kit.domain.events import EventPage

MAX_TEXT = 16_000_000
"""Characters of pages that are remembered at most; what is made of a page when it is read takes about as much again."""

MAX_LATEST = 4096
"""Characters that a last event may have to be compared with: each read sends it to the database."""

_OVERHEAD = 500
"""Space that a page takes beside its text, in characters."""

_RECEIPT = 300
"""Space that one receipt of it takes."""


PageKey: TypeAlias = tuple[str, str, int, int, bool, int | None, int | None, int | None]
"""The ids of an application and of a conversation, and the fields of an ``EventRange``, whose own hash takes longer; not who reads it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A page, and the text of the last event in its conversation when it was read."""

    page: EventPage
    latest: str


class PageCache:
    """The pages read last. May be used from several threads. What was read in a transaction that is not committed does not belong here."""

    def __init__(self, most: int = MAX_TEXT) -> None:
        self._most = most
        self._pages: OrderedDict[PageKey, Remembered] = OrderedDict()
        self._size = 0
        self._lock = forks.lock()

    def find(self, key: PageKey) -> Remembered | None:
        """Return the page as it was, to be compared with what there is now; ``None`` if it is not remembered."""
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
    page = remembered.page
    return len(page.text) + len(remembered.latest) + _OVERHEAD + _RECEIPT * sum(map(len, page.receipts.values()))


class NoPageCache(PageCache):
    """Memory of nothing: every page is read."""

    def find(self, key: PageKey) -> None:
        """Return ``None``."""
        return

    def keep(self, key: PageKey, page: EventPage, latest: str) -> None:
        """Remember nothing."""
