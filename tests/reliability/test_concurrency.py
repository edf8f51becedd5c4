"""Many writers at once: every event gets its own id, nothing is lost, and a name has one owner."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest

from conversation_kit import Context, ConversationKit, CreateEvent
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from tests.processes import connections, serve
from tests.world import APP, keys, make_kit, open_world, token

pytestmark = pytest.mark.anyio

WRITERS = 32
EVENTS = {"asyncio": 2000, "trio": 500}
"""How many each writer appends."""

RACERS = 32
RACES = 5
KINDS = ["conversation", "user"]


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'chat.db'}"


@pytest.mark.slow
async def test_concurrent_writers_number_every_event_once(storage: str, anyio_backend: str) -> None:
    each = EVENTS[anyio_backend]
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


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_one_of_many_racers_through_two_processes_gets_a_name(tmp_path: Path) -> None:
    public = tmp_path / "public.pem"
    public.write_text(keys(APP)[1])
    arguments = ("--application", f"{APP}={public}", "--storage", f"sqlite:///{tmp_path / 'chat.db'}")
    with serve(tmp_path, *arguments, workers=2) as server:
        async with connections(server, RACERS // 2) as clients:
            for race in range(RACES):
                for kind in KINDS:
                    await run_race(clients, kind, f"name {race}")


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
