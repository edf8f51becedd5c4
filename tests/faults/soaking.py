"""Writers and listeners of one server, whose connections are cut and which is killed again and again."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import httpx2

from tests.faults.listeners import AGAIN_SECONDS, NONE, Faults, Listener
from tests.faults.writers import Gone, writer
from tests.support.processes import DEADLINE, Server
from tests.support.world import APP, token

HEADERS = {"Authorization": f"Bearer {token(APP)}"}
USERS = ("ana", "max")
WRITERS = 16
ROOMS = 3
"""Conversations at the beginning; after each kill there is one more."""


class House:
    """Where the server is, from one life to the next."""

    def __init__(self, start: Callable[[], AbstractContextManager[Server]]) -> None:
        self.server: Server
        self.lives = 0
        self._start = start
        self._stack = ExitStack()
        self._up = anyio.Event()
        self._down = anyio.Event()

    async def place(self) -> str:
        """Its URL; waits while there is no server."""
        await self._up.wait()
        return self.server.url

    def kill(self) -> None:
        """End it without a word."""
        self._up = anyio.Event()
        self.server.kill()
        self._down.set()

    async def open(self) -> None:
        """Start it."""
        self._stack.close()
        self.server = await anyio.to_thread.run_sync(self._stack.enter_context, self._start())
        self.lives += 1
        self._down = anyio.Event()
        self._up.set()

    async def down(self) -> None:
        """Return when it was killed."""
        await self._down.wait()

    def close(self) -> None:
        self._stack.close()


@dataclass
class Room:
    """A conversation: what was acknowledged, and what its log has."""

    id: str
    acknowledged: dict[int, str] = field(default_factory=dict)
    log: list[tuple[int, str]] = field(default_factory=list)
    joined: dict[str, int] = field(default_factory=dict)
    """The id of the event with which each user came."""


@dataclass
class Soak:
    """``events`` are written; meanwhile ``cuts`` connections are cut by their clients, and the server is killed ``kills`` times."""

    house: House
    events: int
    cuts: int
    kills: int
    seed: int
    rooms: list[Room] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    acknowledged: int = 0
    cut: int = 0

    async def run(self) -> Faults:
        """Do all that, and compare what each listener got with the log as it is read by HTTP afterwards."""
        self._chance = random.Random(self.seed)
        moments = self._chance.sample(range(1, self.events), self.cuts + self.kills)
        self._kills = deque(sorted(moments[: self.kills]))
        self._cuts = deque(sorted(moments[self.kills :]))
        await self.house.open()
        try:
            async with client(self.house.server.url) as first:
                users = {name: (await post(first, "/users", {"name": name}))["id"] for name in USERS}
                for _ in range(ROOMS):
                    await self._add_room(first)
            self._seat(users)
            async with anyio.create_task_group() as listening:
                for listener in self.listeners:
                    listening.start_soon(listener.run)
                async with anyio.create_task_group() as keeping:
                    keeping.start_soon(self._keep_house)
                    async with anyio.create_task_group() as writing:
                        for number in range(WRITERS):
                            writing.start_soon(self._write, number)
                    keeping.cancel_scope.cancel()
                await self._settle()
                listening.cancel_scope.cancel()
        finally:
            self.house.close()
        return self._faults()

    def _seat(self, users: dict[str, str]) -> None:
        paths: list[tuple[str, str | None]] = [(f"/conversations/{room.id}/events", None) for room in self.rooms[:2]]
        paths += [(f"/users/{users[name]}/events", name) for name in USERS]
        for path, who in paths:
            self.listeners += [
                Listener(path, "sse", who, self.house.place),
                Listener(path, "ws", who, self.house.place),
            ]

    async def _add_room(self, http: httpx2.AsyncClient) -> None:
        room = Room((await post(http, "/conversations", {}))["id"])
        for name in USERS:
            await post(http, f"/conversations/{room.id}/members", {"user_name": name, "action": "join"})
        self.rooms.append(room)

    async def _keep_house(self) -> None:
        while True:
            await self.house.down()
            await self.house.open()
            async with client(self.house.server.url) as http:
                await self._add_room(http)

    @property
    def _is_over(self) -> bool:
        return self.acknowledged >= self.events and self.cut == self.cuts and len(self.rooms) == ROOMS + self.kills

    async def _write(self, number: int) -> None:
        count = 0
        while not self._is_over:
            try:
                async with writer(await self.house.place()) as one:
                    while not self._is_over:
                        count += 1
                        room, text = self._chance.choice(self.rooms), f"writer {number}, event {count}"
                        room.acknowledged[await one.say(room.id, text)] = text
                        self.acknowledged += 1
                        self._disturb()
            except Gone:
                await anyio.sleep(AGAIN_SECONDS)

    def _disturb(self) -> None:
        while self._cuts and self._cuts[0] <= self.acknowledged:
            opened = [listener for listener in self.listeners if listener.is_open]
            if not opened:
                break
            self._cuts.popleft()
            self._chance.choice(opened).cut()
            self.cut += 1
        if self._kills and self._kills[0] <= self.acknowledged and len(self.rooms) == ROOMS + self.kills - len(self._kills):
            self._kills.popleft()
            self.house.kill()

    async def _settle(self) -> None:
        """Read the logs; return when everybody has the last event of them, behind which nothing comes any more, or has had the time."""
        async with client(await self.house.place()) as http:
            for room in self.rooms:
                last = await post(http, f"/conversations/{room.id}/events", {"type": "text", "body": {"text": "the end"}})
                await self._read(http, room)
                assert room.log[-1] == (int(last["id"]), "the end")
        with anyio.move_on_after(2 * DEADLINE):
            for listener in self.listeners:
                await listener.until({name: log[-1][0] for name, log in self._expected(listener).items()})

    async def _read(self, http: httpx2.AsyncClient, room: Room) -> None:
        path = f"/beta/conversations/{room.id}/events"
        while page := (await http.get(path, params={"page_size": 100, "start_id": len(room.log) + 1})).json():
            for event in page:
                id, body = int(event["id"]), event["body"]
                room.log.append((id, body.get("text", event["type"])))
                if event["type"] == "member:joined":
                    room.joined[body["user"]["name"]] = id
        assert [id for id, _ in room.log] == list(range(1, len(room.log) + 1))
        assert room.acknowledged.items() <= dict(room.log).items()

    def _expected(self, listener: Listener) -> dict[str, list[tuple[int, str]]]:
        if listener.is_feed:
            assert listener.who is not None
            return {room.id: room.log[room.joined[listener.who] - 1 :] for room in self.rooms}
        (log,) = (room.log for room in self.rooms if room.id in listener.path)
        return {"": log}

    def _faults(self) -> Faults:
        found = NONE
        for listener in self.listeners:
            for name, log in self._expected(listener).items():
                found += Faults.between(listener.got[name], log)
        return found


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An admin's."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(
            httpx2.AsyncClient(base_url=url, headers=HEADERS, timeout=DEADLINE, trust_env=False, verify=False)
        )


async def post(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What is answered to a change that must succeed."""
    answer = await http.post(f"/beta{path}", json=body)
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, Any] = answer.json()
    return made
