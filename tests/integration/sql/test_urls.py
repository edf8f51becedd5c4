"""What a storage URL may look like."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator, Page
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.database.engine import make_engine
from conversation_kit_sql.database.urls import own_url, with_ssl
from tests.support.databases import fresh


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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "scheme", "query"),
    [
        ("postgresql", "postgres", {}),
        ("postgresql", "postgresql+asyncpg", {"ssl": "prefer"}),
        ("postgresql", "postgresql+psycopg_async", {}),
        ("mariadb", "mysql+aiomysql", {}),
        ("mariadb", "mariadb+asyncmy", {"ssl": "false"}),
        ("sqlite", "sqlite+aiosqlite", {}),
    ],
)
async def test_a_url_of_the_host_names_the_database_whatever_driver_is_the_hosts(
    kind: str, scheme: str, query: dict[str, str], tmp_path: Path
) -> None:
    with fresh(kind, tmp_path) as url:
        own = make_url(url).set(drivername=scheme).update_query_dict(query).render_as_string(hide_password=False)
        kit = ConversationKit(storage=own, auth=HostAuthenticator(lambda scope: None), application_id="app")
        async with kit.lifespan():
            assert (await kit.conversations.create("é")).name == "é"
        async with opened_storage(SQLStorage(make_url(own))) as storage:
            assert await storage.list_conversations("app", Page(), datetime.now(UTC))


@asynccontextmanager
async def opened_storage(storage: SQLStorage) -> AsyncIterator[SQLStorage]:
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@pytest.mark.anyio
async def test_of_an_async_engine_the_database_is_used(tmp_path: Path) -> None:
    class AsyncEngine:
        """What the kit looks at of SQLAlchemy's own, which needs greenlet and a driver."""

        url = make_url(f"sqlite+aiosqlite:///{tmp_path}/chat.db")
        sync_engine = None

    async with opened_storage(SQLStorage(AsyncEngine())) as storage:  # type: ignore[arg-type]
        assert storage.capabilities.durable
    AsyncEngine.url = make_url("sqlite+aiosqlite://")
    with pytest.raises(ConfigurationError, match="nobody else can see"):
        await SQLStorage(AsyncEngine()).open()  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="takes a URL, an Engine"):
        await SQLStorage(tmp_path).open()  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "query", "told"),
    [
        ("postgresql", {"ssl": "maybe"}, "says ssl=maybe: use sslmode=require"),
        ("postgresql", {"sslrootcert": "/nowhere/ca.pem"}, "sslrootcert names the file '/nowhere/ca.pem', which does not exist"),
        ("postgresql", {"fancy": "1"}, 'cannot be used: .*"fancy"'),
        ("mariadb", {"ssl_ca": "/nowhere/ca.pem"}, "ssl_ca names the file '/nowhere/ca.pem', which does not exist"),
        ("mariadb", {"ssl_ca": __file__}, "option that its driver cannot use"),
        ("mariadb", {"ssl": "maybe"}, "says ssl=maybe: use ssl=true"),
        ("mariadb", {"fancy": "1"}, "option that its driver cannot use: .*fancy"),
    ],
)
async def test_an_option_that_cannot_be_is_told_in_a_sentence(kind: str, query: dict[str, str], told: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        storage = SQLStorage(make_url(url).update_query_dict(query).render_as_string(hide_password=False))
        with pytest.raises(ConfigurationError, match=told):
            await storage.open()


@pytest.mark.parametrize(("url", "arguments"), [("mysql://h/d?ssl=true", {"check_hostname": False}), ("mysql://h/d?ssl=0", None)])
def test_ssl_is_switched_on_and_off_by_a_word(url: str, arguments: dict[str, object] | None) -> None:
    assert with_ssl(own_url(url))[1].get("ssl") == arguments
    assert "ssl" not in with_ssl(own_url(url))[0].query


def test_ssl_of_asyncpg_is_what_libpq_calls_sslmode() -> None:
    for word, mode in (("true", "require"), ("require", "require"), ("verify-full", "verify-full"), ("false", "disable")):
        assert with_ssl(own_url(f"postgresql+asyncpg://h/d?ssl={word}"))[0].query == {"sslmode": mode}
