"""One server in a process of its own: uvicorn with uvloop and httptools, one worker, no access log."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import Mount

from benchmarks import cores
from benchmarks.bare import PREFIX, bare_app
from conversation_kit import ConversationKit, JWTAuthenticator

APPLICATION = "bench"
USERS = 10
CONVERSATIONS = 100
LOGGED = 1000
"""How many events the conversation has that is read."""


@dataclass(frozen=True)
class Room:
    """A conversation and its members as (name of the user, id of the member)."""

    id: str
    members: list[tuple[str, str]]


@dataclass(frozen=True)
class Address:
    """Where a server listens and what it holds: a conversation that all write to, many that are written to, and one that is read."""

    port: int
    hot: Room | None = None
    many: list[Room] = field(default_factory=list)
    read: Room | None = None


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: Address
    connection: Connection

    def cpu_seconds(self) -> float:
        """The processor time that it has taken so far."""
        self.connection.send(None)
        return float(self.connection.recv())


@contextmanager
def running(public_key: str, *, storage: str | None = None, page: bytes = b"") -> Iterator[Server]:
    """A server of the kit on ``storage``, or the bare one whose reading endpoint sends ``page``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, public_key, storage, page), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Server(ours.recv(), ours)
    finally:
        process.terminate()
        process.join(20)


def _main(connection: Connection, public_key: str, storage: str | None, page: bytes) -> None:
    cores.pin(cores.SERVER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(connection, public_key, storage, page))


def _tell_cpu_seconds(connection: Connection) -> None:
    with suppress(EOFError):
        while True:
            connection.recv()
            connection.send(time.process_time())


async def _serve(connection: Connection, public_key: str, storage: str | None, page: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listener.getsockname()[1]
    if storage is None:
        app = bare_app(public_key, page)
        await _run(app, listener, connection, Address(port))
        return
    kit = ConversationKit(storage=storage, auth=JWTAuthenticator({APPLICATION: public_key}))
    async with kit.lifespan():
        address = await _fill(kit, port)
        await _run(Starlette(routes=[Mount(PREFIX, app=kit)]), listener, connection, address)


async def _run(app: Starlette, listener: socket.socket, connection: Connection, address: Address) -> None:
    connection.send(address)
    threading.Thread(target=_tell_cpu_seconds, args=(connection,), daemon=True).start()
    config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning")
    await uvicorn.Server(config).serve(sockets=[listener])


async def _fill(kit: ConversationKit, port: int) -> Address:
    names = [f"user-{number}" for number in range(USERS)]
    for name in names:
        await kit.users.create(name)
    hot = await _room(kit, "hot", names)
    many = [await _room(kit, f"room-{n}", [names[n % USERS], names[(n + 1) % USERS]]) for n in range(CONVERSATIONS)]
    read = await _room(kit, "read", names[:2])
    for number in range(len(read.members), LOGGED):
        sender = read.members[number % 2][1]
        await kit.events.create(read.id, "text", {"text": f"Message {number} of a conversation that has been going on."}, sender=sender)
    return Address(port, hot, many, read)


async def _room(kit: ConversationKit, name: str, users: list[str]) -> Room:
    conversation = await kit.conversations.create(name)
    members = [(user, (await kit.members.join(conversation.id, user_name=user)).id) for user in users]
    return Room(conversation.id, members)
