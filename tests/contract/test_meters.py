from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conversation_kit import MemoryMeter, Meter
from conversation_kit.meters.shared import SharedMeter
from conversation_kit.testing import MeterContract
from conversation_kit_redis import RedisMeter
from tests.support import brokers


class TestMemory(MeterContract):
    @pytest.fixture(autouse=True)
    def only(self) -> None:
        self.meter = MemoryMeter()

    @asynccontextmanager
    async def open_meter(self) -> AsyncIterator[Meter]:
        yield self.meter


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
