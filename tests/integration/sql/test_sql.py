"""What is SQLStorage's own, beside the contract that every storage keeps."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from conversation_kit import ConfigurationError, Conflict, StorageUnavailable
from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Conversation
from conversation_kit.domain.reading import Access, EventRange, Page
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.ids import new_id
from conversation_kit.domain.values.times import now
from conversation_kit.testing.harness.writes import create_conversation
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.database.errors import unknown_outcome
from tests.integration.sql.appended import APP, appending, opened
from tests.support.sql_probes import engine_of

pytestmark = pytest.mark.anyio


async def make_room(storage: SQLStorage, name: str = "room") -> str:
    room = Conversation(APP, new_id("CON"), name, now())
    await create_conversation(storage, room)
    return room.id


async def ids(storage: SQLStorage, room: str) -> list[int]:
    page = await storage.list_events(Access(APP, now()), room, EventRange(10_000))
    return [id for id, _ in page.rows]


def count_commits(storage: SQLStorage) -> list[int]:
    commits: list[int] = []
    event.listen(engine_of(storage), "commit", lambda connection: commits.append(1))
    return commits


async def at_once(*calls: Any) -> list[Any]:
    """The results of calls that begin side by side; what one raises is its result."""
    results: list[Any] = [None] * len(calls)

    async def run(number: int, call: Any) -> None:
        try:
            results[number] = await call
        except Exception as error:
            results[number] = error

    async with anyio.create_task_group() as group:
        for number, call in enumerate(calls):
            group.start_soon(run, number, call)
    return results


async def test_what_waits_is_committed_together(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room = await make_room(storage)
        commits = count_commits(storage)
        results = await at_once(*(storage.change(APP, room, Needs(), appending()) for _ in range(50)))
        assert sorted(changes.result for changes in results) == list(range(1, 51))
        assert await ids(storage, room) == list(range(1, 51))
        writes = len(commits) - 1  # one is the read's
        assert writes <= 3


async def test_a_change_sees_what_its_neighbour_in_the_batch_changed(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room = await make_room(storage)

        def only_once(scene: Scene) -> Changes[str]:
            draft = Draft(scene, now())
            if draft.conversation.display_name:
                raise Conflict("somebody else was first")
            draft.update(display_name="mine")
            return draft.done("won")

        results = await at_once(*(storage.change(APP, room, Needs(), only_once) for _ in range(20)))
        assert len([one for one in results if isinstance(one, Changes)]) == 1
        assert len([one for one in results if isinstance(one, Conflict)]) == 19


async def test_one_that_fails_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room, other = await make_room(storage), await make_room(storage, "other")

        def crash(scene: Scene) -> Changes[None]:
            raise ZeroDivisionError

        def refuse(scene: Scene) -> Changes[None]:
            raise Conflict("no")

        def rename(scene: Scene) -> Changes[None]:
            draft = Draft(scene, now())
            draft.update(name="room")
            draft.append("conversation:updated", {})
            return draft.done(None)

        calls = [storage.change(APP, room, Needs(), appending()) for _ in range(10)]
        bad = [storage.change(APP, other, Needs(), decide) for decide in (crash, refuse, rename)]
        results = await at_once(*calls[:5], *bad, *calls[5:])
        assert [type(one) for one in results[5:8]] == [ZeroDivisionError, Conflict, Conflict]
        assert results[7].code == "conversation:error:duplicate-name"
        assert sorted(changes.result for changes in [*results[:5], *results[8:]]) == list(range(1, 11))
        assert await ids(storage, room) == list(range(1, 11))
        assert await ids(storage, other) == []


async def test_a_caller_that_gives_up_leaves_nobody_waiting(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room = await make_room(storage)
        done: list[int] = []

        async def write(scope: anyio.CancelScope | None) -> None:
            with scope or anyio.CancelScope():
                done.append((await storage.change(APP, room, Needs(), appending())).result)

        scopes = [anyio.CancelScope() if number % 3 else None for number in range(30)]
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for scope in scopes:
                    group.start_soon(write, scope)
                await anyio.lowlevel.checkpoint()
                for scope in scopes:
                    if scope is not None:
                        scope.cancel()
        stored = await ids(storage, room)
        assert stored == list(range(1, len(stored) + 1))
        assert set(done) <= set(stored)
        assert len(done) >= scopes.count(None)
        await storage.change(APP, room, Needs(), appending())


async def test_a_hosts_engine_is_used_and_left_as_it_is(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/host.db")
    try:
        with engine.begin() as connection:
            connection.execute(text('CREATE TABLE "user" (id INTEGER)'))
        async with opened(SQLStorage(engine)) as storage:
            await storage.change(APP, await make_room(storage), Needs(), appending())
        with engine.begin() as connection:
            connection.execute(text('INSERT INTO "user" VALUES (1)'))
            assert connection.execute(text("SELECT count(*) FROM conversation_kit_event")).scalar() == 1
        async with opened(SQLStorage(lambda: engine)) as storage:
            assert (await storage.list_conversations(APP, Page(), now())).total == 1
    finally:
        engine.dispose()


async def test_two_prefixes_share_a_database_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    async with opened(SQLStorage(url, prefix="one_")) as one, opened(SQLStorage(url, prefix="two_")) as two:
        await make_room(one)
        await make_room(two)
        assert (await one.list_conversations(APP, Page(), now())).total == 1


async def test_memory_of_sqlite_is_shared_by_all_threads() -> None:
    async with opened(SQLStorage("sqlite://")) as storage:
        room = await make_room(storage)
        writes = [storage.change(APP, room, Needs(), appending()) for _ in range(20)]
        reads = [storage.list_events(Access(APP, now()), room, EventRange()) for _ in range(20)]
        results = await at_once(*(call for pair in zip(writes, reads, strict=True) for call in pair))
        assert not [one for one in results if isinstance(one, Exception)]
        assert await ids(storage, room) == list(range(1, 21))


@pytest.mark.parametrize("url", ["nonsense", "oracle+nothing://x", "sqlite+nothing:///x"])
async def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        async with opened(SQLStorage(url)):
            pass


async def test_missing_tables_are_named_when_they_shall_not_be_created(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with pytest.raises(ConfigurationError, match="create_schema=True"):
        await SQLStorage(url, create_schema=False).open()
    async with opened(SQLStorage(url)):
        pass
    async with opened(SQLStorage(url, create_schema=False)) as storage:
        await make_room(storage)


async def test_a_locked_database_is_unavailable_and_works_again_once_it_is_free(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db", busy_seconds=0.05)) as storage:
        room = await make_room(storage)
        with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            results = await at_once(*(storage.change(APP, room, Needs(), appending()) for _ in range(3)))
            assert [type(one) for one in results] == [StorageUnavailable] * 3
            assert await ids(storage, room) == []
            holder.execute("ROLLBACK")
        assert (await storage.change(APP, room, Needs(), appending())).result == 1


async def test_use_before_opening_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="open"):
        await SQLStorage("sqlite://").get_leg(APP, "x")


async def test_commits_are_full_and_the_log_is_written_ahead(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:

        def look(pragma: str) -> Sequence[Any]:
            with engine_of(storage).connect() as connection:
                return tuple(connection.exec_driver_sql(f"PRAGMA {pragma}").one())

        assert look("journal_mode") == ("wal",)
        assert look("synchronous") == (2,)


async def test_an_engine_without_a_pool_works_too(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/chat.db", poolclass=NullPool)
    async with opened(SQLStorage(engine)) as storage:
        room = await make_room(storage)
        await at_once(*(storage.change(APP, room, Needs(), appending()) for _ in range(10)))
        assert await ids(storage, room) == list(range(1, 11))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_writer_that_asyncio_cancels_takes_nobody_with_it(tmp_path: Path) -> None:
    """Cancelled from outside, as by ``asyncio.wait_for``: no shield of anyio's holds that off."""
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room = await make_room(storage)
        gates = [(threading.Event(), threading.Event()) for _ in range(2)]

        def slow(entered: threading.Event, go_on: threading.Event) -> Any:
            def decide(scene: Scene) -> Changes[int]:
                entered.set()
                assert go_on.wait(30)
                changes: Changes[int] = appending()(scene)
                return changes

            return asyncio.ensure_future(storage.change(APP, room, Needs(), decide))

        with anyio.fail_after(30):
            first = slow(*gates[0])
            await anyio.to_thread.run_sync(gates[0][0].wait)
            # These wait for the first one and then make one batch.
            hasty = slow(*gates[1])
            readers = [asyncio.ensure_future(storage.change(APP, room, Needs(), appending())) for _ in range(5)]
            await anyio.lowlevel.checkpoint()
            gates[0][1].set()
            await first
            await anyio.to_thread.run_sync(gates[1][0].wait)
            for _ in range(2):  # the first time it still waits for what has begun
                hasty.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await hasty
            await anyio.lowlevel.checkpoint()
            assert not any(reader.done() for reader in readers)
            late = asyncio.ensure_future(storage.change(APP, room, Needs(), appending()))
            gates[1][1].set()
            assert [(await reader).result for reader in (*readers, late)] == [3, 4, 5, 6, 7, 8]
        assert await ids(storage, room) == list(range(1, 9))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_writer_that_asyncio_cancels_at_any_moment_takes_nobody_with_it(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room = await make_room(storage)

        def write() -> asyncio.Future[Changes[int]]:
            return asyncio.ensure_future(storage.change(APP, room, Needs(), appending()))

        told: list[int] = []
        with anyio.fail_after(30):
            for moment in range(12):
                first, hasty, *readers = [write() for _ in range(5)]
                told.append((await first).result)
                for _ in range(moment):
                    await asyncio.sleep(0)
                hasty.cancel()
                await asyncio.wait([hasty])
                told += [(await reader).result for reader in readers]
        stored = await ids(storage, room)
        assert stored == list(range(1, len(stored) + 1))
        assert sorted(told) == sorted(set(told) & set(stored))
        assert len(told) == 12 * 4


async def test_a_host_whose_engine_begins_transactions_itself_is_no_obstacle(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/host.db")

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    try:
        async with opened(SQLStorage(engine)) as storage:
            room = await make_room(storage)
            results = await at_once(*(storage.change(APP, room, Needs(), appending()) for _ in range(10)))
            assert not [one for one in results if isinstance(one, Exception)]
            assert await ids(storage, room) == list(range(1, 11))
    finally:
        engine.dispose()


async def test_a_hosts_engine_in_memory_must_be_shared_by_threads() -> None:
    apart = create_engine("sqlite://")
    run = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    try:
        with pytest.raises(ConfigurationError, match="StaticPool"):
            await SQLStorage(apart).open()
        async with opened(SQLStorage(run)) as storage:
            assert await ids(storage, await make_room(storage)) == []
    finally:
        apart.dispose()
        run.dispose()


def test_several_event_loops_may_use_one_storage(tmp_path: Path) -> None:
    storage = SQLStorage(f"sqlite:///{tmp_path}/chat.db")

    async def prepare() -> str:
        await storage.open()
        return await make_room(storage)

    room = anyio.run(prepare)

    async def talk() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(25):
                group.start_soon(storage.change, APP, room, Needs(), appending())

    threads = [threading.Thread(target=anyio.run, args=(talk,), kwargs={"backend": backend}) for backend in ("asyncio", "trio", "asyncio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def finish() -> list[int]:
        try:
            return await ids(storage, room)
        finally:
            await storage.close()

    assert anyio.run(finish) == list(range(1, 76))


WRITER = """
import sys, anyio
sys.path.insert(0, {tests!r})
from tests.integration.sql.appended import APP, appending, opened
from conversation_kit_sql import SQLStorage
from conversation_kit.domain.scene import Needs

async def main():
    async with opened(SQLStorage({url!r})) as storage:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(write, storage)

async def write(storage):
    for _ in range(10):
        await storage.change(APP, {room!r}, Needs(), appending())

anyio.run(main)
"""


async def test_several_processes_share_one_gapless_log(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    async with opened(SQLStorage(url)) as storage:
        room = await make_room(storage)
        code = WRITER.format(url=url, room=room, tests=str(Path(__file__).parents[3]))
        results = await at_once(*(anyio.run_process([sys.executable, "-c", code]) for _ in range(3)))
        assert [one for one in results if isinstance(one, Exception)] == []
        assert await ids(storage, room) == list(range(1, 601))


async def test_only_the_writer_moves_the_log_into_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit_sql.database.database.CHECKPOINT_AFTER", 100)
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as storage:
        room = await make_room(storage)
        with engine_of(storage).connect() as connection:
            assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == 0
        size = (tmp_path / "chat.db").stat().st_size
        for _ in range(2):
            await at_once(*(storage.change(APP, room, Needs(), appending("x" * 1000)) for _ in range(100)))
        assert (tmp_path / "chat.db").stat().st_size > size
        assert await ids(storage, room) == list(range(1, 201))


def _told(code: object, *, broken: bool = False, name: str = "") -> DBAPIError:
    cause = sqlite3.OperationalError(code, "told")
    if isinstance(code, str):
        cause.sqlstate = code  # type: ignore[attr-defined]
    cause.sqlite_errorname = name
    return DBAPIError("COMMIT", None, cause, connection_invalidated=broken)


def _id(error: DBAPIError) -> str:
    assert error.orig is not None
    return str(error.orig.args[0] or getattr(error.orig, "sqlite_errorname", ""))


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (_told("57P01", broken=True), True),
        (_told("08007"), True),
        (_told(1180), True),
        (_told("", name="SQLITE_IOERR_FSYNC"), True),
        (_told("", name="SQLITE_FULL"), False),
        (_told("", name="SQLITE_BUSY"), False),
        (_told("53100"), False),
        (_told("40001"), False),
        (_told(1205), False),
    ],
    ids=lambda value: (
        str(value.orig.args[0] or getattr(value.orig, "sqlite_errorname", "")) if isinstance(value, DBAPIError) and value.orig else ""
    ),
)
def test_the_outcome_of_a_commit_is_unknown_only_if_the_database_did_not_say(error: DBAPIError, unknown: bool) -> None:
    assert (unknown_outcome(error) is not None) is unknown
