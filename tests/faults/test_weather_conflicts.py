"""Transactions that meet: deadlocks and serialization failures are tried again unnoticed, and double nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import OperationalError

from conversation_kit_sql import SQLStorage
from conversation_kit_sql.database import retry
from tests.faults.weather import SERVERS, Room, open_room, opened, somebody, wait_for_waiting
from tests.support.databases import fresh
from tests.support.sql_probes import until_write_begun, writes_held
from tests.support.world import APP, make_kit, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]
HOLD = text("SELECT * FROM conversation_kit_conversation WHERE application_id = :a AND id = :id FOR UPDATE")


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets longer with every conflict after which the kit tries again."""
    turns: list[int] = []

    def pause(turn: int) -> None:
        turns.append(turn)
        time.sleep(0.001)

    monkeypatch.setattr(retry, "pause", pause)
    return turns


def with_options(url: str, options: str) -> str:
    """The URL with further options of PostgreSQL's."""
    there = make_url(url)
    return there.update_query_dict({"options": f"{there.query['options']} {options}"}).render_as_string(hide_password=False)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_deadlock_with_a_transaction_of_the_hosts_is_tried_again(kind: str, tmp_path: Path, met: list[int]) -> None:
    with fresh(kind, tmp_path) as url:
        # It is the kit that finds out first, and so is the one that is rolled back; on MariaDB it is who has written less. PostgreSQL
        # looks once, when one has waited for so long: until then the host has to wait too.
        mine, theirs = (with_options(url, f"-cdeadlock_timeout={one}") for one in ("2s", "120s")) if "options" in url else (url, url)
        async with opened(storage := SQLStorage(mine, busy_seconds=60)) as one:
            other, third = [await open_room(one.world, name) for name in ("other", "third")]
            low, high = sorted((one, other), key=lambda room: room.id)
            with somebody(theirs) as host:
                for turn in range(2):
                    hold(host, high)
                    before = len(met)
                    async with anyio.create_task_group() as group:
                        with writes_held(storage):
                            # The first one goes alone, and the others wait for it and go together.
                            group.start_soon(third.say, f"{turn}")
                            await until_write_begun(storage)
                            for number in range(6):
                                for room in (low, high):
                                    group.start_soon(room.say, f"{turn} {number}")
                            await anyio.wait_all_tasks_blocked()
                        await anyio.to_thread.run_sync(wait_for_waiting, kind, url, host)
                        await anyio.to_thread.run_sync(hold, host, low)
                        host.commit()
                    assert len(met) > before
            for room in (low, high):
                assert len(await room.check()) == 12


def hold(connection: Connection, room: Room) -> None:
    connection.execute(HOLD, {"a": APP, "id": room.id})
    connection.execute(
        text("UPDATE conversation_kit_conversation SET image_url = image_url, display_name = :name WHERE application_id = :a AND id = :id"),
        {"a": APP, "id": room.id, "name": f"held at {time.monotonic()}"},
    )


@pytest.mark.parametrize("kind", SERVERS)
async def test_processes_and_hosts_that_lock_in_any_order_double_nothing(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        mine = with_options(url, "-cdeadlock_timeout=20ms") if kind == "postgresql" else url
        async with opened(SQLStorage(mine)) as room, open_world(make_kit(SQLStorage(mine)), populate=False) as world:
            rooms = [room, await open_room(room.world, "b"), await open_room(room.world, "c")]
            # Those of the second process, with the same account of what was said.
            twins = [Room(world, one.id, one.sent, one.acknowledged, before=one.before) for one in rooms]
            with lockers(mine, rooms) as lock:
                async with anyio.create_task_group() as group:
                    for number in range(10):
                        for one in (*rooms, *twins):
                            group.start_soon(talk, one, f"{id(one)} {number}")
                    for turn in range(2):
                        group.start_soon(anyio.to_thread.run_sync, lock, turn)
            assert [len(await one.check()) for one in rooms] == [60] * 3


async def talk(room: Room, name: str) -> None:
    for number in range(3):
        await room.say(f"{name} {number}")


@contextmanager
def lockers(url: str, rooms: list[Room]) -> Iterator[Callable[[int], None]]:
    """What locks the rooms in one order or the other, as a host might."""

    def lock(turn: int) -> None:
        with somebody(url) as connection:
            for _ in range(15):
                try:
                    for room in sorted(rooms, key=lambda room: room.id, reverse=turn % 2 == 0):
                        connection.execute(HOLD, {"a": APP, "id": room.id})
                        time.sleep(0.001)
                    connection.commit()
                except OperationalError:
                    connection.rollback()  # the host is the victim this time, and tries again itself

    yield lock


async def test_a_database_that_serializes_everything_answers_all(tmp_path: Path) -> None:
    with fresh("postgresql", tmp_path) as url:
        mine = with_options(url, "-cdefault_transaction_isolation=serializable")
        async with opened(SQLStorage(mine)) as room, open_world(make_kit(SQLStorage(mine)), populate=False) as world:
            twin = Room(world, room.id, room.sent, room.acknowledged, before=room.before)
            async with anyio.create_task_group() as group:
                for number in range(10):
                    for one in (room, twin):
                        group.start_soon(talk, one, f"{id(one)} {number}")
                        group.start_soon(one.read)
            assert len(await room.check()) == 60


TRIGGER = """
CREATE TRIGGER failing BEFORE INSERT ON conversation_kit_event FOR EACH ROW EXECUTE FUNCTION fail_mostly()
"""
FUNCTION = """
CREATE FUNCTION fail_mostly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF mod(nextval('failures'), 3) <> 0 THEN RAISE EXCEPTION 'for a test' USING ERRCODE = '40001'; END IF;
    RETURN NEW;
END $$
"""


async def test_serialization_failures_are_tried_again_until_it_goes(tmp_path: Path, met: list[int]) -> None:
    with fresh("postgresql", tmp_path) as url:
        async with opened(SQLStorage(url)) as room:
            with somebody(url) as connection:
                for statement in ("CREATE SEQUENCE failures", FUNCTION, TRIGGER):
                    connection.exec_driver_sql(statement)
                connection.commit()
            for number in range(5):
                await room.say(f"{number}")
            assert await room.check() == ["0", "1", "2", "3", "4"]
            assert len(met) == 10
