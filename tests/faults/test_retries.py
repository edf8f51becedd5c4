"""Clients that send each request again until it is answered, to servers that are killed: with an idempotency key it happens once.

``CONVERSATION_KIT_RETRY_KILLS`` says how often a server is killed, ``CONVERSATION_KIT_RETRY_SEED`` when; the seed is in the output.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.support.databases import fresh
from tests.support.processes import DEADLINE, Server, connections, serve
from tests.support.world import APP, keys, token

KILLS = int(os.environ.get("CONVERSATION_KIT_RETRY_KILLS", "3"))
SEED = int(os.environ.get("CONVERSATION_KIT_RETRY_SEED") or random.randrange(2**32))
CLIENTS = 16
REQUESTS_BETWEEN_KILLS = 300
HEADERS = {"Authorization": f"Bearer {token(APP)}"}


@pytest.fixture
def anyio_backend() -> str:
    """Of the test's own clients; what is tested runs in other processes."""
    return "asyncio"


@dataclass
class Client:
    """A client that goes on with what was not answered, wherever the next server is."""

    number: int
    path: str
    chance: random.Random
    answers: dict[str, Any] = field(default_factory=dict)
    retries: int = 0
    replayed: int = 0
    unanswered: bool = False
    """Whether the last request got no answer."""

    async def send(self, client: httpx2.AsyncClient) -> None:
        """Send the next request, or the last one again. Raises ``TransportError``."""
        self.retries += self.unanswered
        text = f"client {self.number}, request {len(self.answers)}"
        self.unanswered = True
        answer = await self._post(client, text)
        self.unanswered = False
        self.answers[text] = answer.json()
        if self.chance.random() < 0.3:
            self.retries += 1
            again = await self._post(client, text)
            assert again.json() == answer.json()
            assert again.headers["idempotent-replayed"] == "true"

    async def _post(self, client: httpx2.AsyncClient, text: str) -> httpx2.Response:
        headers = {**HEADERS, "Idempotency-Key": text.replace(" ", "-")}
        answer = await client.post(f"/beta{self.path}/events", headers=headers, json={"type": "text", "body": {"text": text}})
        assert answer.status_code == 201, answer.text
        self.replayed += "idempotent-replayed" in answer.headers
        return answer


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_request_that_is_sent_until_it_is_answered_happens_once(kind: str, tmp_path: Path) -> None:
    print(f"CONVERSATION_KIT_RETRY_SEED={SEED}")
    chance = random.Random(SEED)
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    with fresh(kind, tmp_path) as url:
        arguments = ("--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", url)
        clients: list[Client] = []
        for number in range(KILLS + 1):
            probe = clients[0].path if clients else "/conversations"
            with serve(tmp_path, *arguments, workers=2, probe=probe, headers=HEADERS) as server:
                if not clients:
                    paths = [await _conversation(server, f"room {n}") for n in range(2)]
                    clients = [Client(n, paths[n % 2], random.Random(SEED + n)) for n in range(CLIENTS)]
                is_last = number == KILLS
                await _send_until_killed(server, clients, None if is_last else chance.randint(1, REQUESTS_BETWEEN_KILLS))
                if is_last:
                    await _check(server, clients)
    retries, replayed = sum(client.retries for client in clients), sum(client.replayed for client in clients)
    requests = sum(len(client.answers) for client in clients)
    print(f"{kind}: {requests} requests, {KILLS} kills, {retries} retries, {replayed} of them answered again; 0 doubled, 0 lost")
    assert replayed > 0


async def _conversation(server: Server, name: str) -> str:
    async with httpx2.AsyncClient(base_url=f"{server.url}/beta", headers=HEADERS, timeout=DEADLINE, trust_env=False) as client:
        return f"/conversations/{(await client.post('/conversations', json={'name': name})).json()['id']}"


async def _send_until_killed(server: Server, clients: list[Client], moment: int | None) -> None:
    """Let all clients send, and kill the server after so many answers; without a ``moment`` each gets what it waits for."""
    answered, killed = 0, False

    async def send(client: Client, connection: httpx2.AsyncClient) -> None:
        nonlocal answered, killed
        while not killed:
            try:
                await client.send(connection)
            except httpx2.TransportError:
                assert killed, "The server was gone before it was killed."
                return
            answered += 1
            if moment is None:
                return
            if answered >= moment and not killed:
                killed = True
                server.kill()

    async with connections(server, CLIENTS // len(server.workers)) as connected, anyio.create_task_group() as group:
        for client, connection in zip(clients, connected, strict=True):
            group.start_soon(send, client, connection)


async def _check(server: Server, clients: list[Client]) -> None:
    """Compare the logs with what was answered: each text is there once, at the id that was told."""
    async with httpx2.AsyncClient(base_url=f"{server.url}/beta", headers=HEADERS, timeout=DEADLINE, trust_env=False) as connection:
        for path in {client.path for client in clients}:
            log: list[tuple[str, str]] = []
            while page := (await connection.get(f"{path}/events", params={"page_size": 100, "start_id": len(log) + 1})).json():
                log += [(event["id"], event["body"]["text"]) for event in page]
            told = [(answer["id"], text) for client in clients if client.path == path for text, answer in client.answers.items()]
            assert sorted(log) == sorted(told)
