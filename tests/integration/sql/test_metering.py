"""Levels of limits in a database: what is left of them, and what a transaction of the host has to do with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from conversation_kit import Limits, Quotas, Rate, Taking, TooManyRequests
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.schema.tables import make_tables
from tests.support.databases import SQL, emptied
from tests.support.world import open_world

pytestmark = pytest.mark.anyio

LEVELS = make_tables().meter
LIMITS: dict[str, Any] = {"limits": Limits(Quotas(events="2/day"), Quotas(events="100/day")), "meter": "storage"}


@pytest.fixture(params=SQL)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with emptied(request.param, tmp_path) as url:
        made = create_engine(url, pool_size=20, isolation_level="SERIALIZABLE" if request.param == "sqlite" else "READ COMMITTED")
        yield made
        made.dispose()


def marks(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(select(LEVELS.c.mark)).scalars())


async def test_levels_of_which_nothing_is_left_are_forgotten(engine: Engine) -> None:
    storage = SQLStorage(engine)
    await storage.open()
    try:
        await storage.take([Taking("app", f"events:{number}", 1, Rate(1, 1)) for number in range(50)])
        before = marks(engine)
        assert len(before) == 50
        with anyio.fail_after(60):
            while before & marks(engine):
                await storage.take([Taking("app", "events:ana", 1, Rate(10**6, 86_400))])
                await anyio.sleep(0.05)
        assert len(marks(engine)) == 1
    finally:
        await storage.close()


async def test_a_user_is_limited_in_the_hosts_transaction_too_and_nobody_waits_for_it(engine: Engine) -> None:
    async with open_world(storage=SQLStorage(engine), **LIMITS) as world:
        with Session(engine) as session:
            async with world.kit.using(session) as chat:
                ana = chat.as_user("ana").events
                await ana.create(world.conversation, "text", {"text": "one"})
                if engine.dialect.name != "sqlite":  # where nobody else can write meanwhile
                    other = await world.kit.conversations.create()
                    await world.kit.members.join(other.id, user_name="max")
                    await world.kit.as_user("max").events.create(other.id, "text", {"text": "hello"})
                await ana.create(world.conversation, "text", {"text": "two"})
                with pytest.raises(TooManyRequests):
                    await ana.create(world.conversation, "text", {"text": "three"})
                session.commit()
        assert [event.body["text"] for event in await world.kit.events.list(world.conversation) if event.type == "text"] == ["one", "two"]
        with pytest.raises(TooManyRequests):
            await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": "four"})
