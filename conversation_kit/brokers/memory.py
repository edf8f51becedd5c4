"""MemoryBroker: the reference reading of the port, and good enough for one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident

import anyio

from conversation_kit import forks
from conversation_kit.loops import Loop
from conversation_kit.ports import BrokerMessage


class MemoryBroker:
    """Between several kits on one storage in one process, in whichever event loops they run."""

    def __init__(self) -> None:
        self._begin()
        forks.watch(self, in_child=MemoryBroker._begin)

    def _begin(self) -> None:
        self._listeners: list[tuple[int, Loop, Callable[[BrokerMessage], None]]] = []

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        """See ``Broker.tell``."""
        for thread, loop, heard in tuple(self._listeners):
            for one in messages:
                if thread == get_ident():
                    heard(one)
                else:
                    loop.call_soon(heard, one)

    async def listen(self, heard: Callable[[BrokerMessage], None]) -> None:
        """See ``Broker.listen``."""
        listener = (get_ident(), Loop(), heard)
        self._listeners.append(listener)
        try:
            await anyio.sleep_forever()
        finally:
            self._listeners.remove(listener)
