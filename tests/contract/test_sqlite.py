from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conversation_kit import Storage
from conversation_kit.testing import StorageContract
from conversation_kit_sql import SQLStorage


class TestSQLiteFile(StorageContract):
    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield SQLStorage(f"sqlite:///{folder}/chat.db")


class TestSQLiteInMemory(StorageContract):
    durable = False

    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield SQLStorage("sqlite://")
