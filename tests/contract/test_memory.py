from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conversation_kit import MemoryStorage, Storage
from conversation_kit.testing import StorageContract


class TestMemoryStorage(StorageContract):
    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield MemoryStorage()
