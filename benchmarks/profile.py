"""``python -m benchmarks.profile``: where the time of one POST event goes, step by step, in one process and without a network."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import uvloop

from benchmarks import cores
from benchmarks.databases import POSTGRES_VARIABLE, own_database
from benchmarks.wire import TEXT
from conversation_kit import ConversationKit, JWTAuthenticator
from conversation_kit.auth import make_key_pair, make_token
from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.events import Event
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.times import now
from conversation_kit.http.app import headers_of
from conversation_kit.http.beta.api import BETA
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.schemas.bodies import EventBody
from conversation_kit.http.serving.base_url import base_url
from conversation_kit.http.serving.refusals import Refusals
from conversation_kit.http.serving.request import Mount, Request
from conversation_kit.http.serving.response import Response
from conversation_kit.http.serving.routing import Routes
from conversation_kit.services.events import Events
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.changes.apply import ChangeUnit
from conversation_kit_sql.workers.work_queue import Job

APPLICATION = "profile"
ROUNDS, CALLS = 7, 500


def main() -> None:
    """Print the tables."""
    cores.pin(cores.SERVER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, tempfile.TemporaryDirectory() as folder:
        runner.run(_request())
        runner.run(_batches("SQLite, synchronous=FULL", f"sqlite:///{folder}/profile.db"))
        address = os.environ.get(POSTGRES_VARIABLE)
        if address is not None:
            with own_database(address, "conversation_kit_profile") as url:
                runner.run(_batches("PostgreSQL", url))


def _print(name: str, seconds: float) -> None:
    print(f"{name:60} {1e6 * seconds:7.1f} us")


async def _quickest(step: Callable[[], Awaitable[Any]]) -> float:
    """Return the seconds of one call, in the quickest of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            await step()
        best = min(best, (time.perf_counter() - began) / CALLS)
    return best


class _Posting:
    """One user's POST of an event, on memory."""

    def __init__(self) -> None:
        private_key, public_key = make_key_pair()
        self.auth = JWTAuthenticator({APPLICATION: public_key})
        self.kit = ConversationKit(storage="memory://", auth=self.auth)
        self.token = make_token(private_key, APPLICATION, sub="ana", ttl=3600)

    async def prepare(self) -> None:
        await self.kit.users.create("ana")
        self.room = (await self.kit.conversations.create("room")).id
        self.member = (await self.kit.members.join(self.room, user_name="ana")).id
        self.body = f'{{"type":"text","from":"{self.member}","body":{{"text":"{TEXT}"}}}}'.encode()
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": f"/conversations/{self.room}/events",
            "query_string": b"",
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"authorization", f"Bearer {self.token}".encode()),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(self.body)),
            ],
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
        }

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Any) -> None:
        pass


async def _request() -> None:
    post = _Posting()
    await post.prepare()
    kit, core, routes = post.kit, post.kit._context, Routes(BETA.operations)
    links = Links(base_url("http", b"127.0.0.1", "127.0.0.1", 80, ""))
    mount = Mount(Refusals(core.hub), BETA.acl_versions, BETA.wire.error)
    events = Events(core, await post.auth.authenticate(post.scope))
    text = {"text": TEXT}

    async def route() -> None:
        routes.find("POST", post.scope["path"], "")

    async def parse() -> None:
        headers, path = headers_of(post.scope), post.scope["path"]
        await Request(post.scope, post.receive, headers, path, {}, links, mount, kit.as_user("ana")).body(EventBody)

    async def nothing() -> None:
        pass

    async def commit() -> None:
        await kit.storage.change(APPLICATION, post.room, Needs("ana", members=(post.member,)), partial(_decide, post.member))

    async def answer() -> None:
        href = links.event(post.room, 1)
        await Response.json({"id": "1", "timestamp": "2026-01-01T00:00:00.000Z", "href": href}, 201).send(post.send)

    print("POST event on memory, from the ASGI call to the last message")
    bare = await _quickest(nothing)
    for name, step in (
        ("find the operation", route),
        ("find the caller by the token, verified before", lambda: post.auth.authenticate(post.scope)),
        ("read the body and validate it", parse),
        ("the service: rights, checks, hooks, decision, commit", lambda: events.create(post.room, "text", text, sender=post.member)),
        ("    of which scene, decision and commit", commit),
        ("make the answer and send it", answer),
        ("all of it", lambda: kit(post.scope, post.receive, post.send)),
    ):
        _print(f"  {name}", await _quickest(step) - bare)


def _decide(member: str, scene: Scene) -> Changes[Event]:
    draft = Draft(scene, now())
    return draft.done(draft.append("text", {"text": TEXT}, sender=member))


async def _batches(database: str, url: str) -> None:
    """Print the time of a group of appends in its worker thread, in a hot conversation and in as many as there are appends."""
    storage = SQLStorage(url)
    kit = ConversationKit(storage=storage, auth=_Posting().auth, application_id=APPLICATION)
    async with kit.lifespan():
        await kit.users.create("ana")
        rooms = [(await kit.conversations.create(f"room-{number}")).id for number in range(64)]
        members = {room: (await kit.members.join(room, user_name="ana")).id for room in rooms}
        print(f"\nA group of appends on {database}, per append")
        for size in (1, 8, 64):
            for name, some in (("one conversation", rooms[:1] * size), (f"{size} conversations", rooms[:size])):
                units = [
                    ChangeUnit(APPLICATION, room, Needs("ana", members=(members[room],)), partial(_decide, members[room])) for room in some
                ]
                processor, whole = _group(storage, units)
                _print(f"  {size:2} together in {name}: processor time", processor)
                _print("     and with waiting for the database", whole)


def _group(storage: SQLStorage, units: list[ChangeUnit]) -> tuple[float, float]:
    processor = whole = float("inf")
    for _ in range(ROUNDS * 10):
        tickets: list[Job[Any]] = [Job(unit) for unit in units]
        began, used = time.perf_counter(), time.process_time()
        storage._commits.commit(tickets)
        processor = min(processor, time.process_time() - used)
        whole = min(whole, time.perf_counter() - began)
        for ticket in tickets:
            ticket.outcome()
    return processor / len(units), whole / len(units)


if __name__ == "__main__":
    main()
