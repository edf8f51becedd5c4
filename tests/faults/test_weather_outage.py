"""A database that is down, goes down, hangs or comes back: 503 meanwhile, good answers soon after, nothing acknowledged lost."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from sqlalchemy import make_url, text
from starlette.applications import Starlette
from starlette.routing import Mount

from conversation_kit_sql import SQLStorage
from tests.faults.weather import SERVERS, Room, assert_unavailable, behind_proxy, first_good, open_room, opened, somebody
from tests.support.databases import fresh
from tests.support.proxy import Proxy
from tests.support.world import World, make_kit

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]
CLIENTS = 16
"""More than there are connections for reads."""


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Proxy]]:
    with behind_proxy(request.param, tmp_path) as found:
        yield found


def unopened(storage: SQLStorage) -> World:
    """A host without a lifespan: the storage is opened by the first request."""
    kit = make_kit(storage)
    app = Starlette(routes=[Mount("/beta", app=kit)])
    return World(kit, httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://host.test"))


async def test_a_database_that_is_down_at_the_first_use_is_unavailable_until_it_is_there(
    database: tuple[str, Proxy], caplog: pytest.LogCaptureFixture
) -> None:
    url, proxy = database
    proxy.down()
    world = unopened(SQLStorage(url))
    try:
        for _ in range(3):
            assert_unavailable(await world.call("GET", "/users"))
        assert_unavailable(await world.call("POST", "/conversations", json={"name": "x"}))
        proxy.up()
        await first_good(lambda: world.call("GET", "/users"))
        room = await open_room(world)
        await room.say("hello")
        assert await room.check() == ["hello"]
    finally:
        await world.kit.close()
        await world.client.aclose()
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) >= 4
    assert not [record for record in told if record.exc_info]


async def test_a_folder_that_is_missing_at_the_first_use_is_told_in_the_log_until_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = unopened(SQLStorage(f"sqlite:///{tmp_path}/mount/chat.db"))
    try:
        assert (await world.call("GET", "/users")).status_code == 500
        assert f"The folder {tmp_path}/mount of the SQLite file does not exist" in caplog.text
        caplog.clear()
        (tmp_path / "mount").mkdir()
        await first_good(lambda: world.call("GET", "/users"))
    finally:
        await world.kit.close()
        await world.client.aclose()


async def test_a_server_that_hangs_at_the_first_use_is_not_waited_for_for_ever(database: tuple[str, Proxy]) -> None:
    url, proxy = database
    proxy.stall()
    limits = {"connect_timeout": "2"} | ({"read_timeout": "2"} if "mysql" in url else {})
    world = unopened(SQLStorage(make_url(url).update_query_dict(limits).render_as_string(hide_password=False)))
    try:
        with anyio.fail_after(30):
            assert_unavailable(await world.call("GET", "/users"))
        proxy.flow()
        await first_good(lambda: world.call("GET", "/users"))
    finally:
        await world.kit.close()
        await world.client.aclose()


async def test_an_outage_under_load_loses_nothing_and_leaves_no_dead_connection(database: tuple[str, Proxy]) -> None:
    url, proxy = database
    async with opened(SQLStorage(url)) as room:
        for outage in range(2):
            refused, answers = await traffic_with_outage(room, proxy, f"outage {outage}")
            assert refused
            assert answers
            # All connections that were kept are dead now; whoever gets one does not notice.
            for _ in range(3):
                reads = await at_once(*[room.read] * CLIENTS)
                assert [answer.status_code for answer in reads] == [200] * CLIENTS
            await room.say(f"after outage {outage}")
            await room.check()


async def traffic_with_outage(room: Room, proxy: Proxy, name: str) -> tuple[int, int]:
    """Clients that go on writing and reading through an outage until each had a good answer after it; the answers refused, and given."""
    seen = {201: 0, 200: 0, 503: 0, 504: 0}
    is_busy, is_repaired = anyio.Event(), anyio.Event()
    refused = {"write": anyio.Event(), "read": anyio.Event()}

    async def go_on(client: int) -> None:
        number, good_since = 0, 0
        while good_since < 3:
            number += 1
            kind = "write" if client % 2 else "read"
            answer = await (room.post(f"{name} {client} {number}") if kind == "write" else room.read())
            seen[answer.status_code] += 1
            if min(seen[201], seen[200]) == 20:
                is_busy.set()
            if answer.status_code in (503, 504):
                refused[kind].set()
                await anyio.sleep(0.02)  # as a client does that is told to come back
            elif is_repaired.is_set():
                good_since += 1

    async with anyio.create_task_group() as group:
        for client in range(CLIENTS):
            group.start_soon(go_on, client)
        await is_busy.wait()
        proxy.down()
        for event in refused.values():
            await event.wait()
        proxy.up()
        is_repaired.set()
        await first_good(room.read)
        await first_good(lambda: room.post(f"{name} repaired"))
    return seen[503] + seen[504], seen[201] + seen[200]


async def at_once(*calls: Any) -> list[httpx2.Response]:
    answers: list[httpx2.Response] = []

    async def ask(call: Any) -> None:
        answers.append(await call())

    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(ask, call)
    return answers


async def test_connections_that_the_server_ended_while_nobody_used_them_are_replaced_unnoticed(database: tuple[str, Proxy]) -> None:
    url, proxy = database
    async with opened(SQLStorage(url)) as room:
        for turn in range(3):
            await at_once(*[room.read] * CLIENTS)
            proxy.cut()
            if turn % 2:
                await room.say(f"{turn}")
            answers = await at_once(*[room.read] * CLIENTS)
            assert [answer.status_code for answer in answers] == [200] * CLIENTS
            await room.say(f"{turn} again")
        assert len(await room.check()) == 4


@pytest.mark.parametrize("kind", SERVERS)
async def test_connections_that_an_administrator_ended_are_replaced_unnoticed(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        name = uuid.uuid4().hex
        mine = make_url(url).update_query_dict({"application_name": name}).render_as_string(hide_password=False)
        async with opened(SQLStorage(mine if kind == "postgresql" else url)) as room:
            for turn in range(3):
                await at_once(*[room.read] * CLIENTS)
                with somebody(url) as connection:
                    if kind == "postgresql":
                        ended = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name")
                        assert connection.execute(ended, {"name": name}).scalar_one() > 1
                    else:
                        own = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
                        for id in connection.execute(text(own)).scalars().all():
                            connection.exec_driver_sql(f"KILL {id}")
                await room.say(f"{turn}")
                answers = await at_once(*[room.read] * CLIENTS)
                assert [answer.status_code for answer in answers] == [200] * CLIENTS
            assert len(await room.check()) == 3


async def test_what_a_stalled_network_held_back_is_answered_when_it_flows_again(database: tuple[str, Proxy]) -> None:
    url, proxy = database
    async with opened(SQLStorage(url)) as room:
        await room.say("before")
        proxy.stall()
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(room.post, f"held back {number}")
            await anyio.wait_all_tasks_blocked()
            proxy.flow()
        assert len(await room.check()) == 6
