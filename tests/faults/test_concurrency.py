"""Many writers at once: every event gets its own id, nothing is lost, and a name has one owner."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest
from sqlalchemy import Connection, event

from conversation_kit import Context, ConversationKit, CreateEvent
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from conversation_kit_sql import SQLStorage
from tests.support.databases import SQL, fresh
from tests.support.processes import connections, serve
from tests.support.sql_probes import engine_of
from tests.support.world import APP, keys, make_kit, open_world, token

pytestmark = pytest.mark.anyio

WRITERS = 32
EVENTS = {"asyncio": 250, "trio": 100}
"""How many each writer appends."""

EVENTS_ON_SERVERS = int(os.environ.get("CONVERSATION_KIT_CONCURRENCY_EVENTS", "40"))
"""The same on PostgreSQL and MariaDB, and through several processes."""

PROCESSES = [2, 4]

RACERS = 32
RACES = 5
KINDS = ["conversation", "user"]


@pytest.fixture(params=["memory", *SQL])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "memory":
        yield "memory://"
        return
    with fresh(request.param, tmp_path) as url:
        yield url


@pytest.mark.slow
async def test_concurrent_writers_number_every_event_once(storage: str, anyio_backend: str) -> None:
    each = EVENTS[anyio_backend] if storage.startswith(("memory", "sqlite")) else EVENTS_ON_SERVERS
    kit = make_kit(storage)
    async with kit.lifespan():
        conversation = (await kit.conversations.create("room")).id
        answered: dict[str, Event] = {}

        @kit.before(CreateEvent)
        async def let_others_go_first(command: CreateEvent, context: Context) -> None:
            # The memory storage never waits for anything: without this its writers would not take turns.
            await anyio.lowlevel.checkpoint()

        async def write(writer: int) -> None:
            for number in range(each):
                text = f"{writer} {number}"
                answered[text] = await kit.events.create(conversation, "text", {"text": text})

        began = time.monotonic()
        async with anyio.create_task_group() as group:
            for writer in range(WRITERS):
                group.start_soon(write, writer)
        seconds = time.monotonic() - began
        total = WRITERS * each
        print(f"{storage.partition(':')[0]}: {total} events by {WRITERS} writers in {seconds:.1f} s, {total / seconds:.0f} a second")

        listed = await log(kit, conversation)
        assert [event.id for event in listed] == list(range(1, total + 1))
        assert {event.body["text"]: event.id for event in listed} == {text: event.id for text, event in answered.items()}
        for writer in range(WRITERS):
            own = [event.body["text"] for event in listed if event.body["text"].startswith(f"{writer} ")]
            assert own == [f"{writer} {number}" for number in range(each)]
        turns = sum(one.body["text"].split()[0] != other.body["text"].split()[0] for one, other in pairwise(listed))
        assert turns > total / 2, "The writers did not write at the same time."
        assert (await kit.conversations.get(conversation)).sequence_number == total


async def log(kit: ConversationKit, conversation: str) -> list[Event]:
    """All events of a conversation, in the order in which they are listed."""
    found: list[Event] = []
    while page := await kit.events.list(conversation, EventRange(size=1000, start_id=len(found) + 1)):
        found += page
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_one_of_many_racers_gets_a_name(storage: str, kind: str) -> None:
    async with open_world(make_kit(storage), populate=False) as world:
        for race in range(RACES):
            await run_race([world.client] * RACERS, kind, f"name {race}")


@pytest.mark.parametrize("kind", SQL)
async def test_writers_who_wait_are_committed_together(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        storage = SQLStorage(url)
        kit = make_kit(storage)
        async with kit.lifespan():
            conversation = (await kit.conversations.create("room")).id
            commits: list[Connection] = []
            event.listen(engine_of(storage), "commit", commits.append)
            async with anyio.create_task_group() as group:
                for writer in range(WRITERS):
                    group.start_soon(kit.events.create, conversation, "text", {"text": f"{writer}"})
            assert len(commits) <= WRITERS / 2
            assert len(await log(kit, conversation)) == WRITERS


@pytest.fixture(params=SQL)
def arguments(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Those of ``serve`` on an empty database."""
    public = tmp_path / "public.pem"
    public.write_text(keys(APP)[1])
    with fresh(request.param, tmp_path) as url:
        yield "--application", f"{APP}={public}", "--storage", url


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_one_of_many_racers_through_two_processes_gets_a_name(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with serve(tmp_path, *arguments, workers=2) as server:
        async with connections(server, RACERS // 2) as clients:
            for race in range(RACES):
                for kind in KINDS:
                    await run_race(clients, kind, f"name {race}")


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("processes", PROCESSES)
async def test_writers_in_several_processes_leave_no_holes_and_readers_see_none(
    arguments: tuple[str, ...], processes: int, tmp_path: Path
) -> None:
    with serve(tmp_path, *arguments, workers=processes) as server:
        async with connections(server, WRITERS // processes) as writers, connections(server, 1) as readers:
            for one in (*writers, *readers):
                one.headers["Authorization"] = f"Bearer {token(APP)}"
            room = (await writers[0].post("/beta/conversations", json={"name": "room"})).json()["id"]
            path = f"/beta/conversations/{room}/events"
            acknowledged: dict[int, str] = {}
            done = False

            async def write(writer: int) -> None:
                for number in range(EVENTS_ON_SERVERS):
                    text = f"{writer} {number}"
                    answer = await writers[writer].post(path, json={"type": "text", "body": {"text": text}})
                    assert answer.status_code == 201, answer.text
                    acknowledged[int(answer.json()["id"])] = text

            async def read(client: httpx2.AsyncClient) -> list[str]:
                """Follow the log as it grows; it only ever grows at its end. Ends when all is written and read."""
                texts: list[str] = []
                while True:
                    is_last = done
                    known = len(acknowledged)
                    page = (await client.get(path, params={"page_size": 100, "start_id": len(texts) + 1})).json()
                    assert [int(event["id"]) for event in page] == list(range(len(texts) + 1, len(texts) + 1 + len(page)))
                    texts += [event["body"]["text"] for event in page]
                    assert len(page) == 100 or len(texts) >= known, "What was acknowledged was not there."
                    if is_last and not page:
                        return texts

            seen: list[list[str]] = []

            async def follow(client: httpx2.AsyncClient) -> None:
                seen.append(await read(client))

            began = time.monotonic()
            async with anyio.create_task_group() as following:
                for reader in readers:
                    following.start_soon(follow, reader)
                async with anyio.create_task_group() as writing:
                    for writer in range(len(writers)):
                        writing.start_soon(write, writer)
                done = True
            total = EVENTS_ON_SERVERS * len(writers)
            print(f"{processes} processes: {total} events in {time.monotonic() - began:.1f} s")
            assert sorted(acknowledged) == list(range(1, total + 1))
            assert seen == [[acknowledged[id] for id in range(1, total + 1)]] * processes


async def run_race(clients: Sequence[httpx2.AsyncClient], kind: str, name: str) -> None:
    """All clients create the same name at once; one of them succeeds, and what it got is what is there."""
    path, headers = f"/beta/{kind}s", {"Authorization": f"Bearer {token(APP)}"}
    answers: list[httpx2.Response] = []

    async def race(client: httpx2.AsyncClient) -> None:
        answers.append(await client.post(path, headers=headers, json={"name": name}))

    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(race, client)
    won = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    lost = [(answer.status_code, answer.json()["code"]) for answer in answers if answer.status_code != 200]
    assert len(won) == 1
    assert lost == [(400, f"{kind}:error:duplicate-name")] * (RACERS - 1)
    listed = (await clients[0].get(path, headers=headers, params={"page_size": 100})).json()
    rows = listed["_embedded"]["conversations"] if kind == "conversation" else listed
    assert [row.get("uuid") or row["id"] for row in rows if row["name"] == name] == won
