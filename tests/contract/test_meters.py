from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conversation_kit import MemoryMeter, Meter
from conversation_kit.meters.shared import SharedMeter
from conversation_kit.testing import MeterContract
from conversation_kit_redis import RedisMeter
from conversation_kit_sql import SQLStorage
from tests.support import brokers
from tests.support.databases import emptied


class TestMemory(MeterContract):
    @pytest.fixture(autouse=True)
    def only(self) -> None:
        self.meter = MemoryMeter()

    @asynccontextmanager
    async def open_meter(self) -> AsyncIterator[Meter]:
        yield self.meter


class SQLMeterContract(MeterContract):
    kind = ""
    url = ""
    plain = False

    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Path) -> Iterator[None]:
        with emptied(self.kind, tmp_path) as self.url:
            yield

    @asynccontextmanager
    async def open_meter(self) -> AsyncIterator[Meter]:
        storage = SQLStorage(self.url, plain=self.plain)
        await storage.open()
        try:
            yield storage
        finally:
            await storage.close()

    async def test_after_closing_it_can_be_used_again(self) -> None:
        """Skip it: a storage is opened by the kit."""


class TestSQLiteFile(SQLMeterContract):
    kind = "sqlite"


class TestPlainSQLiteFile(SQLMeterContract):
    kind = "sqlite"
    plain = True


class TestPostgreSQL(SQLMeterContract):
    kind = "postgresql"


class TestMariaDB(SQLMeterContract):
    kind = "mariadb"


class TestRedis(MeterContract):
    @pytest.fixture(autouse=True)
    def server(self) -> None:
        self.url, self.prefix = brokers.url_of("redis"), brokers.new_channel()

    @asynccontextmanager
    async def open_meter(self) -> AsyncIterator[Meter]:
        yield RedisMeter(self.url, prefix=self.prefix)


class TestShared(TestRedis):
    """What stands before a shared meter keeps its promises, though it refuses some things by itself."""

    @asynccontextmanager
    async def open_meter(self) -> AsyncIterator[Meter]:
        yield SharedMeter(RedisMeter(self.url, prefix=self.prefix))
