"""What a storage URL may look like."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.connecting import make_engine
from tests.databases import fresh


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mariadb"])
async def test_a_url_needs_no_driver(scheme: str, tmp_path: Path) -> None:
    kind = "postgresql" if scheme == "postgresql" else "mariadb"
    with fresh(kind, tmp_path) as url:
        plain = scheme + "://" + url.partition("://")[2]
        kit = ConversationKit(storage=plain, auth=HostAuthenticator(lambda scope: None))
        async with kit.lifespan():
            room = await kit.conversations.create("é")
            await kit.events.create(room.id, "text", {"text": "Ä"})
            assert [event.body for event in await kit.events.list(room.id)] == [{"text": "Ä"}]


@pytest.mark.parametrize(("url", "driver", "extra"), [("postgresql://h/d", "psycopg", "postgres"), ("mysql://h/d", "pymysql", "mysql")])
def test_a_driver_that_is_missing_is_named_with_its_extra(url: str, driver: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == driver:
            raise ModuleNotFoundError(f"No module named {driver!r}", name=driver)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=rf"needs {driver}.*conversation-kit\[{extra}\]"):
        make_engine(url, 5.0)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        make_engine("postgresql:", 5.0)
    assert SQLStorage("sqlite://").capabilities.durable is False
