"""PostgreSQL by libpq's pipeline: what goes out together fails as it would one by one, and connections need nothing special."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DataError

from conversation_kit.domain.drafts import Draft, at_sequence
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit.domain.values.ids import new_id
from conversation_kit.domain.values.times import now
from conversation_kit.testing.harness.writes import create_conversation
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.changes.apply import ChangeUnit
from conversation_kit_sql.database.compiled import RUNNER, PipelineRunner
from conversation_kit_sql.workers.work_queue import Job
from tests.support.databases import fresh
from tests.support.sql_probes import commits_of, on_writer

pytestmark = pytest.mark.anyio
APP = "app"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with fresh("postgresql", tmp_path) as found:
        yield found


@asynccontextmanager
async def opened(source: Any) -> AsyncIterator[tuple[SQLStorage, str]]:
    """A storage with a conversation."""
    storage = SQLStorage(source)
    await storage.open()
    try:
        room = Conversation(APP, new_id("CON"), "room", now())
        await create_conversation(storage, room)
        yield storage, room.id
    finally:
        await storage.close()


def appending(scene: Scene) -> Changes[int]:
    draft = Draft(scene, now())
    return draft.done(draft.append("custom:x", {"text": "x"}).id or 0)


def writing(id: int, data: str) -> Decide[Any]:
    """A decision that the database refuses, when it comes to that."""

    def decide(scene: Scene) -> Changes[Any]:
        assert scene.conversation is not None
        return Changes(
            None,
            at_sequence(scene.conversation, scene.conversation.sequence_number + 1, 0),
            events=[Event(APP, scene.conversation.id, id, data)],
        )

    return decide


async def commit(storage: SQLStorage, room: str, *decisions: Decide[Any]) -> list[Job[Any]]:
    """Have them committed together."""
    jobs: list[Job[Any]] = [Job(ChangeUnit(APP, room, Needs(), decide)) for decide in decisions]
    await anyio.to_thread.run_sync(commits_of(storage).commit, jobs)
    return jobs


async def ids(storage: SQLStorage, room: str) -> list[int]:
    page = await storage.list_events(Access(APP, now()), room, EventRange(1000))
    return [id for id, _ in page.rows]


async def prepared(storage: SQLStorage) -> list[str]:
    """The names of the kit's prepared statements on the connection that writes."""
    statement = text("SELECT name FROM pg_prepared_statements WHERE name LIKE 'conversation_kit_%'")
    found: list[str] = await on_writer(storage, lambda connection, statements: list(connection.execute(statement).scalars()))
    return found


@pytest.mark.parametrize(
    "refused",
    [writing(2**70, "{}"), writing(3, "\0"), writing(1, "{}")],
    ids=["a number too large", "a text with NUL", "an id that is taken"],
)
async def test_a_change_that_the_database_refuses_at_the_end_leaves_its_neighbours_alone(url: str, refused: Decide[Any]) -> None:
    async with opened(url) as (storage, room):
        await commit(storage, room, appending)
        first, failed, last = await commit(storage, room, appending, refused, appending)
        assert (first.result.result, last.result.result) == (2, 3)
        assert failed.error is not None
        assert await ids(storage, room) == [1, 2, 3]


async def test_a_connection_that_has_forgotten_its_prepared_statements_prepares_them_again(url: str) -> None:
    def forget(connection: Connection, statements: object) -> None:
        connection.exec_driver_sql("DEALLOCATE ALL")

    async with opened(url) as (storage, room):
        await commit(storage, room, appending)
        await on_writer(storage, forget)  # with the statement that the conversation was created with
        await commit(storage, room, appending)
        before = await prepared(storage)
        assert before
        await on_writer(storage, forget)
        (job,) = await commit(storage, room, appending)
        assert job.result.result == 3
        again = await prepared(storage)
        assert len(again) == len(before)
        assert not set(again) & set(before)
        # psycopg does the same after a rollback, once it has prepared something itself.
        for _ in range(8):
            await on_writer(storage, lambda connection, statements: connection.execute(text("SELECT 1")).scalar())
        with pytest.raises(DataError):
            await on_writer(storage, lambda connection, statements: connection.execute(text("SELECT 1 / 0")).scalar())
        (job,) = await commit(storage, room, appending)
        assert job.result.result == 4


async def test_nothing_is_prepared_where_the_driver_is_told_not_to(url: str) -> None:
    engine = create_engine(url, connect_args={"prepare_threshold": None})
    async with opened(engine) as (storage, room):
        for number in range(1, 10):
            (job,) = await commit(storage, room, appending)
            assert job.result.result == number
        assert await prepared(storage) == []
        assert await ids(storage, room) == list(range(1, 10))
    engine.dispose()


async def test_a_connection_of_the_hosts_engine_keeps_its_prepared_statements_for_the_next_transaction(url: str) -> None:
    engine = create_engine(url, pool_size=1)
    async with opened(engine) as (storage, room):
        await commit(storage, room, appending)
        before = await prepared(storage)
        await commit(storage, room, appending)
        assert set(before) == set(await prepared(storage))
    engine.dispose()


@pytest.mark.parametrize("options", [{"client_encoding": "latin1"}, {}], ids=["latin1", "utf8"])
async def test_every_connection_of_the_kit_is_in_utf_8_and_has_a_pipeline(url: str, options: dict[str, str]) -> None:
    async with opened(make_url(url).update_query_dict(options).render_as_string(hide_password=False)) as (storage, room):
        for number in (1, 2):
            (job,) = await commit(storage, room, appending)
            assert job.result.result == number
        assert await ids(storage, room) == [1, 2]
        runner = await on_writer(storage, lambda connection, statements: connection.get_execution_options().get(RUNNER))
        assert isinstance(runner, PipelineRunner)
