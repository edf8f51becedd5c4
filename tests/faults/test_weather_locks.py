"""Locks that somebody else holds: nobody waits for ever, the others go on, and afterwards all is as before."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text

from conversation_kit_sql import SQLStorage
from conversation_kit_sql.changes.locked import TRUST_SECONDS
from tests.faults.weather import SERVERS, Room, assert_unavailable, first_good, open_room, opened, somebody
from tests.support.databases import fresh
from tests.support.sql_probes import rows_known_as_held, writes_held
from tests.support.world import APP

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]
BUSY = {"postgresql": 0.2, "mariadb": 1.0}
"""MariaDB counts whole seconds."""

HOLD = text("SELECT * FROM conversation_kit_conversation WHERE application_id = :a AND id = :id FOR UPDATE")
HOLD_USER = text("SELECT * FROM conversation_kit_user WHERE application_id = :a AND id = :id FOR UPDATE")


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
                # Once it is known who is held, nobody waits for it any more. Who waits, waits for so long however fast the machine is.
                took, turns = BUSY[kind], 0
                with anyio.fail_after(30):
                    while took >= BUSY[kind]:
                        began = time.monotonic()
                        assert_unavailable(await room.post(f"still held {turns}"))
                        await others[0].say(f"at once {turns}")
                        took, turns = time.monotonic() - began, turns + 1
                connection.rollback()
            await first_good(lambda: room.post("free again"))
            assert await room.check() == ["free again"]
            assert sum([len(await other.check()) for other in others]) == 12 + turns


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
async def test_a_table_that_somebody_holds_is_not_waited_for_by_each_conversation_anew(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            rooms = [room, *[await open_room(room.world, f"other {number}") for number in range(40)]]
            with somebody(url) as connection:
                how = "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE" if kind == "postgresql" else "LOCK TABLES {} WRITE"
                connection.exec_driver_sql(how.format("conversation_kit_event"))
                with anyio.fail_after(30):
                    async with anyio.create_task_group() as group:
                        with writes_held(storage):
                            for one in rooms:
                                group.start_soon(one.post, "meanwhile")
                            await anyio.wait_all_tasks_blocked()
                connection.exec_driver_sql("COMMIT" if kind == "postgresql" else "UNLOCK TABLES")
            for one in rooms:
                await first_good(lambda one=one: one.post("after"))  # type: ignore[misc]
                assert await one.check() == ["after"]


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


@contextmanager
def neighbour(url: str, room: Room) -> Iterator[None]:
    """Another process that writes to a conversation without a pause, as far as locks can tell."""
    stop = threading.Event()

    def write() -> None:
        with somebody(url) as connection:
            while not stop.is_set():
                connection.execute(HOLD, {"a": APP, "id": room.id})
                time.sleep(0.005)
                connection.rollback()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_conversation_that_others_write_to_as_well_is_not_taken_for_one_that_somebody_holds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversation_kit_sql.changes.locked.QUEUE_SECONDS", 4)  # a second for each: neighbours may be slow
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=1)) as room:
            busy = [await open_room(room.world, f"busy {number}") for number in range(3)]
            with somebody(url) as connection, ExitStack() as others:
                for one in busy:
                    others.enter_context(neighbour(url, one))
                connection.execute(HOLD, {"a": APP, "id": room.id})
                statuses: list[int] = []

                async def post(number: int) -> None:
                    statuses.append((await room.post(f"held {number}")).status_code)

                for turn in range(3):
                    async with anyio.create_task_group() as group:
                        with writes_held(storage):  # so that they go together
                            group.start_soon(post, turn)
                            for one in busy:
                                group.start_soon(one.say, f"beside {turn}")
                            await anyio.wait_all_tasks_blocked()
                    if turn:
                        rows_known_as_held(storage).clear()  # as if it had been long ago
                assert statuses == [503] * 3
                connection.rollback()
                others.enter_context(neighbour(url, room))
                await first_good(lambda: room.post("free again"))
            assert [await one.check() for one in busy] == [["beside 0", "beside 1", "beside 2"]] * 3


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_row_that_was_held_and_that_nobody_asks_for_any_more_is_forgotten(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversation_kit_sql.changes.locked.FORGET_SECONDS", -TRUST_SECONDS)  # as if each had been long ago
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            other = await open_room(room.world, "other")
            with somebody(url) as connection:
                for one in (room, other):
                    connection.execute(HOLD, {"a": APP, "id": one.id})
                    assert_unavailable(await one.post("held"))
                assert list(rows_known_as_held(storage)) == [("conversation", APP, other.id)]
                connection.rollback()
            await first_good(lambda: other.post("free again"))


HOLD_MEMBER = text("SELECT * FROM conversation_kit_member WHERE application_id = :a AND conversation_id = :id FOR UPDATE")
HOLD_EVENT = text("SELECT * FROM conversation_kit_event WHERE application_id = :a AND conversation_id = :id AND id = 1 FOR UPDATE")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_member_that_somebody_holds_keeps_no_other_conversation_from_writing(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            others = [await open_room(room.world, f"other {number}") for number in range(3)]
            await room.world.kit.users.create("ana")
            for one in (room, *others):
                await room.world.kit.members.join(one.id, user_name="ana")
                one.before = 1
            with somebody(url) as connection:
                connection.execute(HOLD_MEMBER, {"a": APP, "id": room.id})
                statuses: list[int] = []

                async def post(number: int) -> None:
                    statuses.append((await room.post(f"held {number}", "ana")).status_code)

                for turn in range(3):
                    async with anyio.create_task_group() as group:
                        with writes_held(storage):  # so that they go together
                            for number in range(2):
                                group.start_soon(post, 10 * turn + number)
                            for one in others:
                                group.start_soon(one.say, f"beside {turn}", "ana")
                            await anyio.wait_all_tasks_blocked()
                assert statuses == [503] * 6
                # What needs none of these rows goes on in the same conversation.
                await room.say("an admin has no read pointer")
                connection.rollback()
            await first_good(lambda: room.post("free again", "ana"))
            assert await room.check() == ["an admin has no read pointer", "free again"]
            assert [await one.check() for one in others] == [["beside 0", "beside 1", "beside 2"]] * 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
async def test_a_hooks_writes_to_a_member_that_somebody_holds_keep_others_waiting_once(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url, busy_seconds=4)) as room:
            room.world.kit.within("text")(lambda signal, session: None)
            other = await open_room(room.world, "other")
            await room.world.kit.users.create("ana")
            await room.world.kit.members.join(room.id, user_name="ana")
            room.before = 1
            with somebody(url) as connection:
                connection.execute(HOLD_MEMBER, {"a": APP, "id": room.id})
                with anyio.fail_after(30):
                    for turn in range(12):
                        assert_unavailable(await room.post(f"held {turn}", "ana"))
                        await other.say(f"beside {turn}")
                connection.rollback()
            await first_good(lambda: room.post("free again", "ana"))
            assert await room.check() == ["free again"]


@pytest.mark.parametrize("kind", SERVERS)
async def test_an_event_that_somebody_holds_keeps_no_other_conversation_from_writing(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            other = await open_room(room.world, "other")
            await room.say("to be deleted")
            with somebody(url) as connection:
                connection.execute(HOLD_EVENT, {"a": APP, "id": room.id})
                statuses: list[int] = []

                async def delete() -> int:
                    statuses.append((await room.world.call("DELETE", f"{room.path}/events/1")).status_code)
                    return statuses[-1]

                async with anyio.create_task_group() as group:
                    with writes_held(storage):
                        group.start_soon(delete)
                        group.start_soon(other.say, "meanwhile")
                        await anyio.wait_all_tasks_blocked()
                assert statuses == [503]
                connection.rollback()
            assert await delete() == 200


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_user_that_somebody_holds_keeps_nobody_else_from_writing(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            other = await open_room(room.world, "other")
            ana, bo = [await room.world.kit.users.create(name) for name in ("ana", "bo")]
            with somebody(url) as connection:
                connection.execute(HOLD_USER, {"a": APP, "id": ana.id})
                answers: dict[str, int] = {}

                async def join(key: str, value: str) -> None:
                    body = {"action": "join", key: value, "channel": {"type": "app"}}
                    answers[value] = (await room.world.call("POST", f"{room.path}/members", json=body)).status_code

                async with anyio.create_task_group() as group:
                    with writes_held(storage):
                        group.start_soon(join, "user_id", ana.id)
                        group.start_soon(join, "user_name", "ana")
                        group.start_soon(join, "user_id", bo.id)
                        group.start_soon(other.say, "meanwhile")
                        await anyio.wait_all_tasks_blocked()
                assert answers == {ana.id: 503, "ana": 503, bo.id: 201}
                connection.rollback()
            await join("user_id", ana.id)
            assert answers[ana.id] == 201


@pytest.mark.parametrize("lock", ["UPDATE", "SHARE"])
@pytest.mark.parametrize("kind", SERVERS)
async def test_a_user_that_somebody_holds_keeps_no_other_user_from_changing(kind: str, lock: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=BUSY[kind])) as room:
            ana, bo, cy = [await room.world.kit.users.create(name) for name in ("ana", "bo", "cy")]
            hold = "LOCK IN SHARE MODE" if kind == "mariadb" and lock == "SHARE" else f"FOR {lock}"
            with somebody(url) as connection:
                select = f"SELECT * FROM conversation_kit_user WHERE application_id = :a AND id = :id {hold}"
                connection.execute(text(select), {"a": APP, "id": ana.id})
                answers: dict[str, int] = {}

                async def call(name: str, method: str, path: str, body: object = None) -> None:
                    answers[name] = (await room.world.call(method, path, json=body)).status_code

                async with anyio.create_task_group() as group:
                    with writes_held(storage):
                        group.start_soon(call, "held", "PUT", f"/users/{ana.id}", {"display_name": "Ana"})
                        group.start_soon(call, "other", "PUT", f"/users/{bo.id}", {"display_name": "Bo"})
                        group.start_soon(call, "removed", "DELETE", f"/users/{cy.id}")
                        group.start_soon(call, "new", "POST", "/users", {"name": "dee"})
                        group.start_soon(room.say, "meanwhile")
                        await anyio.wait_all_tasks_blocked()
                assert answers == {"held": 503, "other": 200, "removed": 200, "new": 200}
                connection.rollback()
            await first_good(lambda: room.world.call("PUT", f"/users/{ana.id}", json={"display_name": "Ana"}))
