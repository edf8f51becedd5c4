"""Which broker a kit gets, and what is said to who wants one that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from conversation_kit import ConfigurationError, MemoryBroker, MemoryStorage
from conversation_kit.brokers.factory import make_broker
from conversation_kit_nats import NatsBroker
from conversation_kit_redis import RedisBroker
from conversation_kit_sql import PostgresBroker, SQLStorage
from tests.support.sql_probes import options_of
from tests.support.world import make_kit


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://localhost", RedisBroker),
        ("rediss://user:password@localhost:6380", RedisBroker),
        ("valkey://localhost", RedisBroker),
        ("valkeys://localhost", RedisBroker),
        ("nats://one,nats://other:4223", NatsBroker),
        ("tls://localhost", NatsBroker),
        ("postgresql://localhost/chat", PostgresBroker),
        ("postgresql+psycopg://localhost/chat", PostgresBroker),
        ("postgres://localhost/chat", PostgresBroker),
    ],
)
def test_the_scheme_of_a_url_names_the_broker(url: str, kind: type) -> None:
    assert isinstance(make_broker(url, MemoryStorage()), kind)


@pytest.mark.parametrize("name", ["postgres", "postgresql"])
def test_postgres_alone_is_the_storages_own(name: str) -> None:
    url = "postgresql+psycopg://user:secret@localhost/chat"
    for storage in (SQLStorage(url), SQLStorage(create_engine(url))):
        broker = make_broker(name, storage)
        assert isinstance(broker, PostgresBroker)
        assert options_of(broker)["password"] == "secret"
    for other in (SQLStorage("sqlite:///chat.db"), SQLStorage(lambda: create_engine(url)), MemoryStorage()):
        with pytest.raises(ConfigurationError, match="give it a URL postgresql://"):
            make_broker(name, other)


def test_an_object_is_taken_as_it_is() -> None:
    broker = MemoryBroker()
    assert make_broker(broker, MemoryStorage()) is broker


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gopher://there", "No installed broker serves 'gopher'"),
        ("redis", "takes a URL, such as redis://localhost"),
        ("redis://localhost:no", "cannot be used"),
        ("postgresql://localhost:no/chat", "cannot be read"),
        (MemoryBroker, "tell and listen"),
        (7, "tell and listen"),
    ],
)
def test_what_is_no_broker_is_refused_with_what_to_do(source: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_kit(broker=source)
