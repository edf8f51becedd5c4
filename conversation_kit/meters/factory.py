"""Meters by their URLs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.meters.memory import MemoryMeter
from conversation_kit.meters.shared import SharedMeter
from conversation_kit.ports import Meter, Reading, Storage, Taking
from conversation_kit.ports.adapters import find_adapter

STORAGE = "storage"
"""Name that stands for the database of the storage."""

EXTRAS = {"conversation_kit_redis": "redis"}
"""The extras that bring what the kit's own adapters need."""


class StorageMeter:
    """Meter in the database of a storage, which ``opened`` returns."""

    def __init__(self, opened: Callable[[], Awaitable[Storage]]) -> None:
        self._opened = opened

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """See ``Meter.take``."""
        storage = await self._opened()
        assert isinstance(storage, Meter)
        return await storage.take(takings)


def make_meter(source: str | Meter | None, storage: Storage, opened: Callable[[], Awaitable[Storage]]) -> Meter:
    """Return the meter of this process for ``None``, one over the database of ``storage`` for ``storage``, else that of a URL or object.

    ``opened`` returns the storage when it is open. Adapters register under the entry point group ``conversation_kit.meters``. Raises
    ``ConfigurationError``.
    """
    if source is None:
        return MemoryMeter()
    if isinstance(source, MemoryMeter):
        return source
    if not isinstance(source, str):
        if isinstance(source, type) or not isinstance(source, Meter):
            raise ConfigurationError(f"meter= takes storage, a URL or an object with the method take, and not {source!r}.")
        return SharedMeter(source)
    if source == STORAGE:
        if not isinstance(storage, Meter):
            raise ConfigurationError(f"meter= takes storage only where that is a database, and {type(storage).__name__} is none.")
        return SharedMeter(StorageMeter(opened))
    scheme, separator, _ = source.partition("://")
    adapter = find_adapter("meter", scheme.partition("+")[0], EXTRAS) if separator else None
    if adapter is None:
        raise ConfigurationError(f"meter= takes storage or a URL such as redis://host, and no installed adapter knows {source!r}.")
    return SharedMeter(adapter(source))
