"""The connections of ``conversation-kit serve``."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from conversation_kit import serving
from conversation_kit.http.mounting import Receive, Scope, Send
from tests.processes import poll

PIECE = b"x" * 65_536


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends until the server takes no more of it, and leaves the rest to the server."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(200):
        await send({"type": "http.response.body", "body": PIECE, "more_body": number < 199})


@contextlib.contextmanager
def served(**options: Any) -> Iterator[uvicorn.Server]:
    """A server in a thread, and the port that it listens on."""
    server = uvicorn.Server(uvicorn.Config(endless, port=0, lifespan="off", log_level="critical", timeout_graceful_shutdown=1, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        poll(lambda: server.started or None)
        yield server
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot be told how long to wait for a client")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_neither_reads_nor_goes_loses_its_connection(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SILENT_SECONDS", 0.5)
    with served(http=serving.Connection, loop=loop) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.servers[0].sockets[0].getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n")
        assert client.recv(9) == b"HTTP/1.1 "
        poll(lambda: not server.server_state.connections or None)
