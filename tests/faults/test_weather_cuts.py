"""Connections that are cut within a write: all of it is stored or nothing, once; a commit whose outcome nobody knows is never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import make_url

from conversation_kit_sql import SQLStorage
from tests.faults.weather import SERVERS, Room, behind_proxy, opened
from tests.support.proxy import Cut, Proxy
from tests.support.sql_probes import until_write_begun, writes_held

TRIPS = {"postgresql": 2, "mysql": 4}
"""How many messages to the server a write is at least: PostgreSQL gets the commit with the last statements."""

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Proxy]]:
    with behind_proxy(request.param, tmp_path) as found:
        yield found


def is_commit(message: bytes) -> bool:
    return re.search(rb"COMMIT(?!TED)", message) is not None


async def prepare(room: Room) -> None:
    """Let there be a member, and all connections, so that what comes next is only what a message takes."""
    await room.world.kit.users.create("ana")
    await room.world.kit.members.join(room.id, user_name="ana")
    room.before = len(await room.texts())
    await room.say("prepared", "ana")


@pytest.mark.parametrize("delivered", [False, True], ids=["lost", "delivered"])
async def test_a_write_whose_connection_is_cut_before_the_commit_is_made_again(database: tuple[str, Proxy], delivered: bool) -> None:
    url, proxy = database
    async with opened(SQLStorage(url)) as room:
        await prepare(room)
        texts = ["prepared"]
        for point in count(1):
            await room.say(f"whole {point}", "ana")  # so that there is a connection
            texts.append(f"whole {point}")
            commits: list[bool] = []

            def matches(message: bytes, commits: list[bool] = commits) -> bool:
                commits.append(is_commit(message))
                return True

            cut = proxy.cut_at(Cut(delivered, point, matches))
            answer = await room.post(f"cut at {point}", "ana")
            if not cut.happened.is_set():
                assert point > TRIPS[make_url(url).get_backend_name()], "A write has more round trips than that."
                break
            if commits[point - 1]:
                assert answer.status_code == 504
            else:
                assert answer.status_code == 201
                texts.append(f"cut at {point}")
        texts.append(f"cut at {point}")
        stored = await room.check()
        assert [text for text in stored if text in room.acknowledged.values()] == texts
        assert len(stored) - len(texts) == delivered, "A commit that was delivered is the only one that is stored without an answer."


@pytest.mark.parametrize("delivered", [False, True], ids=["lost", "delivered"])
async def test_a_group_whose_commit_is_cut_off_is_answered_as_unknown_and_stored_wholly_or_not_at_all(
    database: tuple[str, Proxy], delivered: bool
) -> None:
    url, proxy = database
    async with opened(storage := SQLStorage(url)) as room:
        await prepare(room)
        cut = proxy.cut_at(Cut(delivered, 2, is_commit))
        statuses: dict[int, int] = {}

        async def post(number: int) -> None:
            statuses[number] = (await room.post(f"one of many {number}", "ana")).status_code

        async with anyio.create_task_group() as group:
            with writes_held(storage):
                # The first one goes alone, and the others wait for it and go together.
                group.start_soon(post, 0)
                await until_write_begun(storage)
                for number in range(1, 20):
                    group.start_soon(post, number)
                await anyio.wait_all_tasks_blocked()
        assert cut.happened.is_set()
        refused = [f"one of many {number}" for number, status in statuses.items() if status == 504]
        assert len(refused) == 19
        assert room.unknown == set(refused)
        await room.say("afterwards", "ana")
        stored = await room.check()
        assert [text in stored for text in refused] == [delivered] * len(refused)
        # Who sends it again decides to; it is not the kit.
        for text in refused if not delivered else []:
            await room.say(text, "ana")
        await room.check()


async def test_a_read_whose_connection_is_cut_at_any_point_is_made_again(database: tuple[str, Proxy]) -> None:
    url, proxy = database
    async with opened(SQLStorage(url)) as room:
        await prepare(room)
        for path in (f"{room.path}/events", room.path, f"{room.path}/members"):
            for point in count(1):
                cut = proxy.cut_at(Cut(delivered=point % 2 == 0, at=point))
                answer = await room.world.call("GET", path, "ana")
                assert answer.status_code == 200
                if not cut.happened.is_set():
                    break


async def test_a_network_that_is_cut_again_and_again_loses_and_doubles_nothing(database: tuple[str, Proxy]) -> None:
    url, proxy = database
    async with opened(SQLStorage(url)) as room:
        await prepare(room)

        async def write(writer: int) -> None:
            for number in range(40):
                await room.post(f"{writer} {number}", "ana")

        async with anyio.create_task_group() as writers:
            for writer in range(8):
                writers.start_soon(write, writer)
            for _ in range(25):
                cut = proxy.cut_at(Cut(delivered=True, at=7))
                await anyio.to_thread.run_sync(cut.happened.wait, 2)
        await room.check()
        assert len(room.acknowledged) > 100
