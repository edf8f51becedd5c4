"""Conversations that are gone are so at once, and their rows are removed a few at a time, also those that a killed process has left."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.pool import NullPool

from conversation_kit import Client, InvitationLimits, NotFound, Page
from conversation_kit.testing.harness.writes import create_conversation
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.changes.removals import Rows
from conversation_kit_sql.schema.tables import make_tables
from tests.integration.sql.large import large
from tests.support.databases import SQL, emptied
from tests.support.sql_probes import remove_at_once, removing, spare_time_of, writes_held
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio
TABLES = make_tables()
ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with emptied(request.param, tmp_path) as url:
        yield url


def left(url: str) -> dict[str, int]:
    """How many rows of conversations there are, by table."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return counted(connection)


def counted(connection: Connection) -> dict[str, int]:
    names = ("conversation", "member", "event", "receipt", "deletion", "exclusion", "removal")
    counts = [select(func.count()).select_from(getattr(TABLES, name)).scalar_subquery() for name in names]
    found = zip(names, connection.execute(select(*counts)).one(), strict=True)
    return {name: count for name, count in found if count}


async def invite(client: Client, conversation_id: str) -> None:
    """Invite bo, by the client's own membership."""
    (own, *_) = (await client.members.list(conversation_id)).items
    await client.members.invite(conversation_id, user_name="bo", channel={"type": "app"}, member_id_inviting=own.id)


async def until_nothing_is_left(url: str, but: dict[str, int] | None = None) -> None:
    with anyio.fail_after(30):
        while await anyio.to_thread.run_sync(left, url) != (but or {}):  # noqa: ASYNC110 (the thread that removes tells nobody)
            await anyio.sleep(0.01)


async def delete_and_die(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A conversation that a process has deleted without having time for its rows."""
    kit = make_kit(SQLStorage(url))
    async with kit.lifespan():
        id = await large(kit)
        with monkeypatch.context() as patch:
            patch.setattr(Rows, "remove", lambda self, connection, most: None)
            await kit.conversations.delete(id)
            await kit.close()
    return id


async def test_a_conversation_is_gone_at_once_and_its_rows_soon(url: str) -> None:
    kit = make_kit(SQLStorage(url))
    async with kit.lifespan():
        id = await large(kit)
        await kit.conversations.delete(id)
        with pytest.raises(NotFound):
            await kit.events.list(id)
        await until_nothing_is_left(url)


async def test_an_invitation_to_what_is_still_to_be_removed_counts_for_nobody(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = make_kit(SQLStorage(url), invitation_limits=InvitationLimits(sent=1, received=1))
    async with kit.lifespan():
        for name in ("ana", "bo"):
            await kit.users.create(name)
        ana = kit.as_user("ana")
        rooms = [await ana.conversations.create(f"room {number}") for number in range(2)]
        for room in rooms:
            await ana.members.join(room.id, user_name="ana")
        monkeypatch.setattr(Rows, "remove", lambda self, connection, most: None)
        await invite(ana, rooms[0].id)
        await kit.conversations.delete(rooms[0].id)
        await invite(ana, rooms[1].id)  # and is not refused as one too many


async def test_what_is_still_to_be_removed_is_seen_by_nobody_and_in_nobodys_way(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await delete_and_die(url, monkeypatch)
    monkeypatch.setattr(Rows, "remove", lambda self, connection, most: None)
    assert left(url) == {"member": 3, "event": 72, "receipt": 8, "exclusion": 1, "removal": 1}
    kit = make_kit(SQLStorage(url))
    async with kit.lifespan():
        for asked in (kit.conversations.get(id), kit.events.list(id), kit.events.get(id, 1), kit.members.list(id)):
            with pytest.raises(NotFound):
                await asked
        with pytest.raises(NotFound):
            await kit.as_user("ana").events.create(id, "text", {"text": "hello"})
        ana = await kit.users.named("ana")
        assert (await kit.users.conversations(ana.id)).total == 0
        assert (await kit.conversations.list()).total == 0
        await kit.conversations.create("room")  # the name is free
        await kit.users.delete(ana.id)  # and a membership of what is gone keeps nobody


async def test_a_conversation_that_is_made_again_under_its_id_has_nothing_of_the_old_one_and_keeps_what_it_gets(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = make_kit(SQLStorage(url))
    async with kit.lifespan():
        old = await kit.conversations.get(await large(kit))
        with monkeypatch.context() as patch:
            patch.setattr(Rows, "remove", lambda self, connection, most: None)
            await kit.conversations.delete(old.id)
            await create_conversation(kit.storage, replace(old, sequence_number=0, active_members=0, joined_members=0, messages=0))
            assert await anyio.to_thread.run_sync(left, url) == {"conversation": 1}
            await kit.members.join(old.id, user_name="ana")
        await kit.conversations.create("another")
        assert await anyio.to_thread.run_sync(left, url) == {"conversation": 2, "member": 1, "event": 1}


async def test_what_a_killed_process_has_left_is_removed_by_whoever_writes_next(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await delete_and_die(url, monkeypatch)
    kit = make_kit(SQLStorage(url))
    async with kit.lifespan():
        await kit.users.create("max")
        await until_nothing_is_left(url)


KILLED = """
import os, signal, sys
import anyio
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.changes import removals
from tests.integration.sql.large import large
from tests.support.world import make_kit

step, steps = removals.Rows.remove, []

def remove(self, connection, most):
    removed = step(self, connection, 16)
    if removed is not None:
        steps.append(removed)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return removed

async def main():
    kit = make_kit(SQLStorage(sys.argv[1]))
    id = await large(kit)
    removals.Rows.remove = remove
    await kit.conversations.delete(id)
    await anyio.sleep(30)

anyio.run(main)
"""


async def test_a_process_that_is_killed_in_the_midst_of_it_leaves_the_rest_to_the_next_one(url: str) -> None:
    ended = await anyio.run_process([sys.executable, "-c", KILLED, url], check=False, cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert left(url) == {"member": 3, "event": 72 - 32, "receipt": 8, "exclusion": 1, "removal": 1}
    kit = make_kit(SQLStorage(url))
    async with kit.lifespan():
        with anyio.fail_after(30):
            while left(url):  # a server takes a moment to see that nobody is there any more
                await kit.users.update((await kit.users.named("ana")).id, display_name="Ana")


@pytest.mark.parametrize("most", [1, 7, 60, 1000])
async def test_a_step_removes_no_more_than_it_should_and_all_steps_everything(url: str, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    await delete_and_die(url, monkeypatch)
    rows, engine = Rows(TABLES), create_engine(url)
    before = left(url)
    while True:
        with engine.begin() as connection:
            removed = rows.remove(connection, most)
            after = counted(connection)
        for name in ("event", "receipt", "member", "exclusion"):
            # Of the receipts of one event all go, however many they are.
            assert before.get(name, 0) - after.get(name, 0) <= max(most, 2 if name == "receipt" else 0), name
        before = after
        if removed is None:
            break
    engine.dispose()
    assert left(url) == {}


async def test_two_processes_share_what_there_is_to_remove_and_wait_for_nobody(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if url.startswith("sqlite"):
        pytest.skip("one process writes at a time")
    await delete_and_die(url, monkeypatch)
    rows, engine = Rows(TABLES), create_engine(url, poolclass=NullPool)
    with engine.connect() as one, engine.connect() as other:
        assert rows.remove(one, 10) is not None
        with anyio.fail_after(30):
            assert await anyio.to_thread.run_sync(rows.remove, other, 10) == 0, "the other one has it"


async def test_events_are_written_between_the_steps(url: str) -> None:
    kit = make_kit(storage := SQLStorage(url))
    async with kit.lifespan():
        id = await large(kit, events=150)
        other = await kit.conversations.create("other")
        remove_at_once(storage, 16)
        await kit.conversations.delete(id)
        for number in range(5):
            event = await kit.events.create(other.id, "text", {"text": f"{number}"})
            assert event.id == number + 1
        await until_nothing_is_left(url, but={"conversation": 1, "event": 5})


async def test_who_writes_meanwhile_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await delete_and_die(url, monkeypatch)
    storage = SQLStorage(url)
    async with make_kit(storage).lifespan():
        assert (await storage.list_users("app-1", Page())).total
        spare = spare_time_of(storage)
        with anyio.fail_after(30), writes_held(storage):
            assert await anyio.to_thread.run_sync(spare, abandon_on_cancel=True) is False
        assert await anyio.to_thread.run_sync(spare) is True


async def test_an_error_between_the_steps_is_logged_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kit = make_kit(storage := SQLStorage(f"sqlite:///{tmp_path}/chat.db"))
    happened = threading.Event()

    def fail(connection: Connection, most: int) -> None:
        happened.set()
        raise RuntimeError("no")

    async with kit.lifespan():
        room = await kit.conversations.create("room")
        with monkeypatch.context() as patch:
            patch.setattr(removing(storage), "remove", fail)
            await kit.conversations.delete(room.id)
            assert await anyio.to_thread.run_sync(happened.wait, 30)
            with anyio.fail_after(30):
                while "later" not in caplog.text:  # noqa: ASYNC110 (a thread logs it)
                    await anyio.sleep(0.001)
        await kit.users.create("ana")
