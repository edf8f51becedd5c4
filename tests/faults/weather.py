"""What is said and heard while a database misbehaves, compared with what it holds afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from conversation_kit_sql import SQLStorage
from tests.support.databases import fresh
from tests.support.proxy import Proxy, proxied
from tests.support.world import World, make_kit, open_world

SERVERS = ["postgresql", "mariadb"]
SECONDS = 30.0
"""How soon after a repair there has to be a good answer."""


@dataclass
class Room:
    """A conversation, what was sent to it, and what was acknowledged."""

    world: World
    id: str
    sent: set[str] = field(default_factory=set)
    acknowledged: dict[int, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """What was answered with 503, which says that it is not stored."""
    unknown: set[str] = field(default_factory=set)
    """What may be stored or not, as the answers say."""
    before: int = 0
    """How many events there were at first."""

    @property
    def path(self) -> str:
        return f"/conversations/{self.id}"

    async def post(self, text: str, who: str = "admin") -> httpx2.Response:
        self.sent.add(text)
        answer = await self.world.call("POST", f"{self.path}/events", who, json={"type": "text", "body": {"text": text}})
        if answer.status_code == 201:
            self.acknowledged[int(answer.json()["id"])] = text
            self.refused.discard(text)
        elif answer.status_code == 504:
            assert_unknown(answer)
            self.unknown.add(text)
        else:
            assert_unavailable(answer)
            self.refused.add(text)
        return answer

    async def say(self, text: str, who: str = "admin") -> None:
        """Post what has to be acknowledged."""
        answer = await self.post(text, who)
        assert answer.status_code == 201, answer.text

    async def read(self, who: str = "admin") -> httpx2.Response:
        answer = await self.world.call("GET", f"{self.path}/events", who)
        if answer.status_code != 200:
            assert_unavailable(answer)
        return answer

    async def texts(self) -> list[str]:
        """All texts in the order of their ids, which have no holes."""
        ids: list[int] = []
        texts: list[str] = []
        while page := await self.world.json("GET", f"{self.path}/events", params={"page_size": 100, "start_id": len(ids) + 1}):
            ids += [int(event["id"]) for event in page]
            texts += [event["body"].get("text", event["type"]) for event in page]
        assert ids == list(range(1, len(ids) + 1))
        told = await self.world.json("GET", self.path)
        assert told["sequence_number"] == str(len(ids))
        return texts

    async def check(self) -> list[str]:
        """Everything acknowledged is there as it was sent, and nothing is there twice."""
        texts = await self.texts()
        assert {id: texts[id - 1] for id in self.acknowledged} == self.acknowledged
        own = texts[self.before :]
        assert len(set(own)) == len(own)
        assert set(own) <= self.sent
        assert not self.refused.intersection(own), "A 503 says that nothing was stored."
        assert set(own) <= self.unknown | set(self.acknowledged.values())
        return own


def assert_unavailable(answer: httpx2.Response) -> None:
    """It says that it will do later, as JSON, and nothing of what is inside."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == "system:error:unavailable"
    assert "Traceback" not in answer.text


def assert_failed(answer: httpx2.Response) -> None:
    """It says that nothing was stored, or that it cannot tell."""
    (assert_unknown if answer.status_code == 504 else assert_unavailable)(answer)


def assert_unknown(answer: httpx2.Response) -> None:
    """It says that it may have happened, and does not ask to be repeated."""
    assert answer.status_code == 504, answer.text
    assert "retry-after" not in answer.headers
    assert answer.json()["code"] == "system:error:unknown-outcome"


async def first_good(ask: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """The first answer that is a good one, which must come soon."""
    began = time.monotonic()
    while (answer := await ask()).is_error:
        if answer.status_code != 504:
            assert_unavailable(answer)
        assert time.monotonic() - began < SECONDS, "It is repaired, and still there is no good answer."
        await anyio.sleep(0.02)
    return answer


async def open_room(world: World, name: str = "weather") -> Room:
    room = Room(world, (await world.kit.conversations.create(name)).id)
    room.before = len(await room.texts())
    return room


@asynccontextmanager
async def opened(storage: SQLStorage) -> AsyncIterator[Room]:
    """A room on a storage."""
    async with open_world(make_kit(storage), populate=False) as world:
        yield await open_room(world)


@contextmanager
def behind_proxy(kind: str, folder: Path) -> Iterator[tuple[str, Proxy]]:
    """The URL of an empty database, and the network before it."""
    with fresh(kind, folder) as url, proxied(url) as found:
        yield found


@contextmanager
def somebody(url: str) -> Iterator[Connection]:
    """A connection that is not the kit's; begin and end transactions on it."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def wait_for_waiting(kind: str, url: str, host: Connection) -> None:
    """Until the kit waits for a lock that the host holds."""
    if kind == "postgresql":
        look = "SELECT count(*) FROM pg_stat_activity WHERE :host = ANY(pg_blocking_pids(pid))"
    else:  # where a database is the test's own, and nobody else is in it
        look = (
            "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
            "WHERE t.trx_state = 'LOCK WAIT' AND p.db = database() AND p.id <> :host"
        )
    own = text("SELECT pg_backend_pid()" if kind == "postgresql" else "SELECT connection_id()")
    waiting, deadline = {"host": host.execute(own).scalar_one()}, time.monotonic() + 30
    with somebody(url) as connection:
        while not connection.execute(text(look), waiting).scalar_one():
            connection.rollback()
            assert time.monotonic() < deadline, "Nobody waits."
            # InnoDB makes its answer anew only when nobody, in any test, has asked for a tenth of a second.
            time.sleep(random.uniform(0.15, 0.4))
