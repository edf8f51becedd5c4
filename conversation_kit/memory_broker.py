"""MemoryBroker: the reference reading of the port, and good enough for one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import anyio

from conversation_kit.ports import News


class MemoryBroker:
    """Between several kits on one storage in one event loop; kits of other event loops find out by reading the log."""

    def __init__(self) -> None:
        self._listeners: list[tuple[int, Callable[[News], None]]] = []

    def tell(self, news: Sequence[News]) -> None:
        """See ``Broker.tell``."""
        for thread, heard in tuple(self._listeners):
            if thread == threading.get_ident():
                for one in news:
                    heard(one)

    async def listen(self, heard: Callable[[News], None]) -> None:
        """See ``Broker.listen``."""
        listener = (threading.get_ident(), heard)
        self._listeners.append(listener)
        try:
            await anyio.sleep_forever()
        finally:
            self._listeners.remove(listener)
