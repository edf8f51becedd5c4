"""``kill -9`` of ``conversation-kit serve`` while it writes: whatever was acknowledged is there after the restart.

``CONVERSATION_KIT_KILL_ROUNDS`` says how often, ``CONVERSATION_KIT_KILL_SEED`` when exactly; the seed of a run is in its output.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.support.databases import fresh
from tests.support.processes import DEADLINE, Server, connections, serve
from tests.support.world import APP, keys, token

ROUNDS = int(os.environ.get("CONVERSATION_KIT_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("CONVERSATION_KIT_KILL_SEED") or random.randrange(2**32))
WRITERS = 16
MAX_ACKNOWLEDGEMENTS = 1000
"""After how many acknowledgements of a round the kill comes at the latest."""

HEADERS = {"Authorization": f"Bearer {token(APP)}"}


@dataclass
class Conversation:
    """What a conversation must contain."""

    path: str
    sent: set[str] = field(default_factory=set)
    acknowledged: dict[int, str] = field(default_factory=dict)
    stored: int = 0


@pytest.fixture
def anyio_backend() -> str:
    """Of the test's own clients; what is tested runs in other processes."""
    return "asyncio"


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_killed_server_loses_nothing_that_it_acknowledged(kind: str, tmp_path: Path) -> None:
    """It is the server of the kit that is killed, not that of the database."""
    print(f"CONVERSATION_KIT_KILL_SEED={SEED}")
    with fresh(kind, tmp_path) as url:
        await kill_again_and_again(kind, url, tmp_path)


async def kill_again_and_again(kind: str, url: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    arguments = ("--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", url)
    conversations: list[Conversation] = []
    slowest = 0.0
    for number in range(1, ROUNDS + 1):
        workers = 2 - number % 2
        probe = conversations[0].path if conversations else "/conversations"
        with serve(tmp_path, *arguments, workers=workers, probe=probe, headers=HEADERS) as server:
            async with make_client(server) as client:
                if not conversations:
                    conversations = [await create(client, f"room {n}") for n in range(2)]
                await check(client, conversations)
            slowest = max(slowest, server.answered)
            moment = chance.randint(1, MAX_ACKNOWLEDGEMENTS)
            rate = await write_until_killed(server, conversations, moment, number)
            print(f"round {number}: {workers} workers, killed after {moment} acknowledgements, {rate:.0f} a second")
        if kind == "sqlite":
            with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with serve(tmp_path, *arguments, probe=conversations[0].path, headers=HEADERS) as server:
        async with make_client(server) as client:
            await check(client, conversations)
    acknowledged = sum(len(conversation.acknowledged) for conversation in conversations)
    stored = sum(conversation.stored for conversation in conversations)
    print(
        f"{kind}: {ROUNDS} rounds: {acknowledged} acknowledged, 0 of them lost, {stored - acknowledged} more stored; "
        f"slowest first good answer {slowest:.2f} s after the start of the server"
    )


def make_client(server: Server) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"{server.url}/beta", headers=HEADERS, timeout=DEADLINE, trust_env=False, verify=False)


async def create(client: httpx2.AsyncClient, name: str) -> Conversation:
    made = await client.post("/conversations", json={"name": name})
    return Conversation(f"/conversations/{made.json()['id']}")


async def check(client: httpx2.AsyncClient, conversations: list[Conversation]) -> None:
    """Compare what is there with what must be."""
    for conversation in conversations:
        answer = await client.get(conversation.path)
        assert answer.status_code == 200, answer.text
        stored: dict[int, str] = {}
        while page := (await client.get(f"{conversation.path}/events", params={"page_size": 100, "start_id": len(stored) + 1})).json():
            for event in page:
                stored[int(event["id"])] = event["body"]["text"]
        assert list(stored) == list(range(1, len(stored) + 1))
        assert answer.json()["sequence_number"] == str(len(stored))
        lost = {id: text for id, text in conversation.acknowledged.items() if stored.get(id) != text}
        assert not lost
        # A write whose answer the kill cut off may be there, but only once and as it was sent.
        assert set(Counter(stored.values()).values()) <= {1}
        assert set(stored.values()) <= conversation.sent
        conversation.stored = len(stored)


async def write_until_killed(server: Server, conversations: list[Conversation], moment: int, number: int) -> float:
    """Write from all sides, kill the server at an acknowledgement, and return how many of them there were a second until then."""
    acknowledgements, killed = 0, 0.0

    async def write(writer: int, client: httpx2.AsyncClient) -> None:
        nonlocal acknowledgements, killed
        conversation = conversations[writer % len(conversations)]
        for count in range(moment + 1):
            text = f"round {number}, writer {writer}, event {count}"
            conversation.sent.add(text)
            event = {"type": "text", "body": {"text": text}}
            try:
                answer = await client.post(f"/beta{conversation.path}/events", headers=HEADERS, json=event)
            except httpx2.TransportError:
                assert killed, "The server was gone before it was killed."
                return
            assert answer.status_code == 201, answer.text
            # What the server sent before it died counts too.
            conversation.acknowledged[int(answer.json()["id"])] = text
            acknowledgements += 1
            if acknowledgements == moment:
                killed = time.monotonic()
                server.kill()

    async with connections(server, WRITERS // len(server.workers)) as clients:
        began = time.monotonic()
        async with anyio.create_task_group() as group:
            for writer, client in enumerate(clients):
                group.start_soon(write, writer, client)
    assert killed
    return moment / (killed - began)
