from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conversation_kit import Storage
from conversation_kit.testing import StorageContract
from conversation_kit_sql import SQLStorage
from tests.support.databases import emptied, fresh


class SQLContract(StorageContract):
    kind = ""
    url = ""

    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Path) -> Iterator[None]:
        with emptied(self.kind, tmp_path) as self.url:
            yield

    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield SQLStorage(self.url)

    async def test_several_storages_may_be_opened_at_once_on_new_data(self, tmp_path: Path) -> None:
        (folder := tmp_path / "new").mkdir()
        with fresh(self.kind, folder) as self.url:
            await super().test_several_storages_may_be_opened_at_once_on_new_data(tmp_path)


class TestSQLiteFile(SQLContract):
    kind = "sqlite"


class TestPostgreSQL(SQLContract):
    kind = "postgresql"


class TestMariaDB(SQLContract):
    kind = "mariadb"


class PlainContract(SQLContract):
    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield SQLStorage(self.url, plain=True)


class TestPlainSQLiteFile(PlainContract):
    kind = "sqlite"


class TestPlainPostgreSQL(PlainContract):
    kind = "postgresql"


class TestSQLiteInMemory(StorageContract):
    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield SQLStorage("sqlite://")
