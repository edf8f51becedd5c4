from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conversation_kit import Broker, MemoryBroker
from conversation_kit.testing import BrokerContract
from tests.support import brokers
from tests.support.proxy import Proxy


class RealBroker(BrokerContract):
    kind = ""
    url = ""
    channel = ""
    proxy: Proxy

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        self.channel = brokers.new_channel()
        with brokers.behind_proxy(self.kind) as (self.url, self.proxy):
            yield

    def make_broker(self) -> Broker:
        return brokers.make(self.kind, self.url, self.channel)

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.proxy.down()
        try:
            yield
        finally:
            self.proxy.up()


class TestPostgreSQL(RealBroker):
    kind = "postgresql"


class TestRedis(RealBroker):
    kind = "redis"


class TestNats(RealBroker):
    kind = "nats"


class TestMemory(BrokerContract):
    @pytest.fixture(autouse=True)
    def only(self) -> None:
        self.broker = MemoryBroker()

    def make_broker(self) -> Broker:
        return self.broker
