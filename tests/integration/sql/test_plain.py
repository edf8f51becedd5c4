"""The plain storage does what the fast one does, without groups, memories and statements that nobody hears of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event

from conversation_kit.domain.reading import Page
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.concurrency import during
from conversation_kit.testing.harness.differential import DOINGS, Doing, everything, populate
from conversation_kit.testing.harness.harness import assert_same
from conversation_kit_sql import SQLStorage
from tests.support.databases import SQL, fresh

pytestmark = pytest.mark.anyio
FEW = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)
PROGRAMS = st.lists(
    st.builds(Doing, st.sampled_from(sorted(DOINGS)), st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)), min_size=10, max_size=30
)


@asynccontextmanager
async def opened(url: str | Engine, *, plain: bool) -> AsyncIterator[SQLStorage]:
    storage = SQLStorage(url, plain=plain)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@pytest.mark.parametrize("kind", SQL)
@FEW
@given(program=PROGRAMS)
async def test_whatever_is_done_the_plain_storage_answers_like_the_fast_one(kind: str, tmp_path: Path, program: Sequence[Doing]) -> None:
    folders = [tmp_path / new_id("fast"), tmp_path / new_id("plain")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        urls = [stack.enter_context(fresh(kind, folder)) for folder in folders]
        async with opened(urls[0], plain=False) as fast, opened(urls[1], plain=True) as plain:
            await populate(fast, "app")
            await populate(plain, "app")
            for number, drawn in enumerate(program):
                doing = replace(drawn, at=100 + number)
                assert_same((doing, await doing.on(plain, "app")), (doing, await doing.on(fast, "app")))
            found, expected = await everything(plain, "app"), await everything(fast, "app")
            for question, answer in expected.items():
                with during(f"{question!r} at the end"):
                    assert_same(found[question], answer)


@pytest.fixture(params=SQL)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    options = {"isolation_level": "READ COMMITTED"} if request.param == "mariadb" else {}
    with fresh(request.param, tmp_path) as url:
        engine = create_engine(url, **options)
        yield engine
        engine.dispose()


async def test_a_listener_on_the_engine_hears_of_every_statement_of_the_plain_storage(engine: Engine) -> None:
    heard: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda connection, cursor, statement, *more: heard.append(statement))
    async with opened(engine, plain=True) as storage:
        await populate(storage, "app")
        heard.clear()
        await Doing("say").on(storage, "app")
        assert any(statement.startswith("INSERT INTO conversation_kit_event") for statement in heard)
        heard.clear()
        await storage.list_users("app", Page())
        assert any("conversation_kit_user" in statement for statement in heard)


async def test_each_write_of_the_plain_storage_has_a_transaction_of_its_own(engine: Engine) -> None:
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    async with opened(engine, plain=True) as storage:
        await populate(storage, "app")
        commits.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(Doing("say").on, storage, "app")
        assert len(commits) >= 8
