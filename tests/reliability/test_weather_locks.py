"""Locks that somebody else holds: nobody waits for ever, the others go on, and afterwards all is as before."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text

from conversation_kit_sql import SQLStorage
from tests.databases import fresh
from tests.reliability.weather import SERVERS, assert_unavailable, first_good, open_room, opened, somebody
from tests.world import APP

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]
BUSY = {"postgresql": 0.2, "mariadb": 1.0}
"""MariaDB counts whole seconds."""

HOLD = text("SELECT * FROM conversation_kit_conversation WHERE application_id = :a AND id = :id FOR UPDATE")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_conversation_that_somebody_holds_is_unavailable_and_the_others_go_on(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            others = [await open_room(room.world, f"other {number}") for number in range(3)]
            with somebody(url) as connection:
                connection.execute(HOLD, {"a": APP, "id": room.id})
                statuses: list[int] = []

                async def post(number: int) -> None:
                    statuses.append((await room.post(f"held {number}")).status_code)
                    await others[number % 3].say(f"beside {number}")

                for turn in range(2):
                    async with anyio.create_task_group() as group:
                        for number in range(6):
                            group.start_soon(post, 10 * turn + number)
                assert statuses == [503] * 12
                assert (await room.read()).status_code == 200
                # Once it is known who is held, nobody waits for it any more.
                began = time.monotonic()
                assert_unavailable(await room.post("still held"))
                await others[0].say("at once")
                assert time.monotonic() - began < BUSY[kind]
                connection.rollback()
            await first_good(lambda: room.post("free again"))
            assert await room.check() == ["free again"]
            assert sum([len(await other.check()) for other in others]) == 13


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_table_that_somebody_holds_is_not_waited_for_for_ever(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            await room.say("before")
            with somebody(url) as connection:
                how = "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE" if kind == "postgresql" else "LOCK TABLES {} WRITE"
                connection.exec_driver_sql(how.format("conversation_kit_event"))
                with anyio.fail_after(30):
                    assert_unavailable(await room.post("meanwhile"))
                    assert_unavailable(await room.read())
                connection.exec_driver_sql("COMMIT" if kind == "postgresql" else "UNLOCK TABLES")
            await first_good(room.read)
            await first_good(lambda: room.post("after"))
            assert await room.check() == ["before", "after"]


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_user_that_somebody_holds_is_not_waited_for_for_ever(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            user = await room.world.kit.users.create("ana")
            with somebody(url) as connection:
                connection.execute(text("SELECT * FROM conversation_kit_user WHERE id = :id FOR UPDATE"), {"id": user.id})
                body = {"display_name": "Ana"}
                assert_unavailable(await room.world.call("PUT", f"/users/{user.id}", json=body))
                await room.say("others go on")
                connection.rollback()
            await first_good(lambda: room.world.call("PUT", f"/users/{user.id}", json=body))


async def test_how_long_postgresql_waits_may_be_said_in_the_url(tmp_path: Path) -> None:
    with fresh("postgresql", tmp_path) as url:
        async with opened(SQLStorage(url.replace("-csearch_path", "-clock_timeout%3D100%20-csearch_path"), busy_seconds=60)) as room:
            with somebody(url) as connection:
                connection.execute(HOLD, {"a": APP, "id": room.id})
                with anyio.fail_after(30):
                    assert_unavailable(await room.post("held"))
                connection.rollback()
            await room.say("free")


async def test_a_file_that_another_process_writes_is_unavailable_for_writes_only(tmp_path: Path) -> None:
    async with opened(SQLStorage(f"sqlite:///{tmp_path}/chat.db", busy_seconds=0.1)) as room:
        await room.say("before")
        with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(room.post, f"meanwhile {number}")
                for _ in range(5):
                    group.start_soon(room.read)
            assert list(room.acknowledged) == [1]
            assert (await room.read()).status_code == 200
            other.execute("ROLLBACK")
        await first_good(lambda: room.post("after"))
        assert await room.check() == ["before", "after"]
