"""Long answers: pages of at most a megabyte that go on where they end, and only so many under way at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from conversation_kit import AnswerLimits, ConfigurationError, RequestRefused
from conversation_kit.domain.reading import MAX_PAGE
from tests.support.probes import readers_of_long_answers
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio

ROOM = 20_000
"""Bytes for the hrefs and the brackets of a page."""


@asynccontextmanager
async def long_log(url: str = "memory://", *, lengths: tuple[int, ...] = (65_000,) * 40, **options: Any) -> AsyncIterator[World]:
    """A conversation with texts of these lengths."""
    async with open_world(make_kit(url, **options)) as world:
        for length in lengths:
            await world.kit.events.create(world.conversation, "text", {"text": "x" * length})
        yield world


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_long_log_comes_in_pages_of_a_megabyte_that_link_to_the_next(tmp_path: Path, kind: str, order: str) -> None:
    url = "memory://" if kind == "memory" else f"sqlite:///{tmp_path / 'chat.db'}"
    async with long_log(url, lengths=(65_000,) * 30 + (10,) * 80 + (30_000,) * 20) as world:
        seen: list[str] = []
        sizes: list[int] = []
        path: str | None = f"/conversations/{world.conversation}/events?order={order}"
        while path is not None:
            answer = await world.call("GET", path)
            seen += [event["id"] for event in answer.json()]
            sizes.append(len(answer.content))
            link = answer.links.get("next")
            path = link["url"].partition("/beta")[2] if link else None
        assert seen == [str(id) for id in (range(1, 136) if order == "asc" else range(135, 0, -1))]
        assert max(sizes) <= MAX_PAGE + ROOM
        assert len(sizes) <= 6


async def test_a_live_stream_reads_a_long_log_whole() -> None:
    async with long_log() as world, world.kit.subscribe(world.conversation, after=0) as events:
        with anyio.fail_after(30):
            assert [(await anext(events)).id for _ in range(45)] == list(range(1, 46))


class Client:
    """An ASGI client that reads nothing until it is told to."""

    def __init__(self) -> None:
        self.reads = anyio.Event()
        self.waits = anyio.Event()
        self.messages: list[Any] = []

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def get(self, world: World, who: str) -> None:
        headers = [(b"authorization", f"Bearer {world.token(who)}".encode()), (b"host", b"test")]
        path = f"/conversations/{world.conversation}/events"
        await world.kit({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}, self._receive, self._send)

    async def _receive(self) -> Any:
        return {"type": "http.request"}

    async def _send(self, message: Any) -> None:
        self.messages.append(message)
        if len(message.get("body", b"")) > 10_000:
            self.waits.set()
            await self.reads.wait()
        else:
            self.waits.set()


async def test_only_so_much_is_under_way_for_clients_that_do_not_read() -> None:
    limits = AnswerLimits(per_user=2_000_000, total=3_500_000)
    async with long_log(answer_limits=limits) as world, anyio.create_task_group() as group:
        clients: dict[str, Client] = {}
        refused: list[RequestRefused] = []
        world.kit.on(RequestRefused)(refused.append)
        with anyio.fail_after(30):
            for name, who in (("one", "ana"), ("two", "ana"), ("three", "ana"), ("other", "max"), ("admin", "admin")):
                client = clients[name] = Client()
                group.start_soon(client.get, world, who)
                await client.waits.wait()
        statuses = {name: (client.messages[0]["status"], len(client.messages)) for name, client in clients.items()}
        assert statuses == {"one": (200, 2), "two": (200, 2), "three": (429, 2), "other": (200, 2), "admin": (503, 2)}
        for name, code in (("three", "http:error:too-many-answers"), ("admin", "http:error:capacity")):
            assert json.loads(clients[name].body)["code"] == code
            assert (b"retry-after", b"1") in clients[name].messages[0]["headers"]
        assert (await world.call("GET", f"/conversations/{world.conversation}/events?page_size=1", "ana")).status_code == 200
        for client in clients.values():
            client.reads.set()
        with anyio.fail_after(30):
            while world.kit.stats().answer_bytes or not refused:
                await anyio.lowlevel.checkpoint()
        assert [(one.operation, one.status, one.code) for one in refused] == [("getEvents", 429, "http:error:too-many-answers")]
        for name in ("one", "two", "other"):
            assert len(json.loads(clients[name].body)) >= 15
            (start,) = [message for message in clients[name].messages if "headers" in message]
            assert (b"content-length", b"%d" % len(clients[name].body)) in start["headers"]
            assert not clients[name].messages[-1]["more_body"]
        again = Client()
        again.reads.set()
        await again.get(world, "ana")
        assert again.messages[0]["status"] == 200
        assert not readers_of_long_answers(world.kit)


async def test_a_client_that_takes_nothing_for_too_long_gets_no_more() -> None:
    async with long_log(answer_limits=AnswerLimits(stuck_seconds=0.01)) as world:
        client = Client()
        with anyio.fail_after(30):
            await client.get(world, "ana")
        assert len(client.messages) == 2
        assert world.kit.stats().answer_bytes == 0


@pytest.mark.parametrize("name", ["per_user", "total", "stuck_seconds"])
def test_limits_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        AnswerLimits(**{name: 0})
