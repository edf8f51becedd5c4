"""The storage of the examples keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conversation_kit import Storage
from conversation_kit.testing import StorageContract
from examples.custom_storage import JsonLinesStorage


class TestJsonLinesStorage(StorageContract):
    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield JsonLinesStorage(folder / "chat.jsonl")
