"""One server in a process of its own: uvicorn with uvloop and httptools, or hypercorn on trio; one worker, no access log."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import cores
from benchmarks.apps import Spec, opened
from benchmarks.rooms import Address, Rooms

BACKLOG = 512


class Server:
    """A server that was started."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self._connection = connection

    @cached_property
    def address(self) -> Address:
        """Address at which it listens, as soon as it does.

        Raises ``RuntimeError`` when it never will.
        """
        try:
            address: Address = self._connection.recv()
        except EOFError:
            raise RuntimeError(f"The server {self.name!r} ended before it listened: see above.") from None
        return address

    @property
    def rooms(self) -> Rooms:
        """The conversations in it."""
        assert self.address.rooms is not None
        return self.address.rooms

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        self._connection.send(None)
        return float(self._connection.recv())


@contextmanager
def running(name: str, spec: Spec) -> Iterator[Server]:
    """Run a server that starts up while others do."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, spec), name=name, daemon=True)
    process.start()
    theirs.close()
    try:
        yield Server(name, ours)
    finally:
        process.terminate()
        process.join(20)


def _main(connection: Connection, spec: Spec) -> None:
    if spec.runtime == "hypercorn":
        import trio

        trio.run(_serve, connection, spec)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(connection, spec))


async def _serve(connection: Connection, spec: Spec) -> None:
    async with opened(spec) as (app, rooms):
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        cores.pin(cores.SERVER)
        connection.send(Address(listener.getsockname()[1], rooms))
        # As docs/performance.md advises, for ours and theirs alike.
        gc.collect()
        gc.freeze()
        threading.Thread(target=_tell_cpu_seconds, args=(connection,), daemon=True).start()
        await (_on_hypercorn if spec.runtime == "hypercorn" else _on_uvicorn)(app, listener)


def _tell_cpu_seconds(connection: Connection) -> None:
    with suppress(EOFError):
        while True:
            connection.recv()
            connection.send(time.process_time())


async def _on_uvicorn(app: Any, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_ping_interval=None,  # the generator of load answers none
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    await uvicorn.Server(config).serve(sockets=[listener])


async def _on_hypercorn(app: Any, listener: socket.socket) -> None:
    from hypercorn.config import Config
    from hypercorn.trio import serve

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = BACKLOG
    config.keep_alive_max_requests = 2**62  # a thousand by default, after which the connection is closed
    config.loglevel = "WARNING"
    await serve(app, config)
