"""The connections of ``conversation-kit serve``."""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import anyio
import pytest
import uvicorn

from conversation_kit.cli import connections
from conversation_kit.http.serving.mounting import ASGIApp, Receive, Scope, Send
from tests.support.probes import is_there
from tests.support.processes import poll

PIECE = b"x" * 65_536


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends until the server takes no more of it, and leaves the rest to the server."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(200):
        await send({"type": "http.response.body", "body": PIECE, "more_body": number < 199})


@contextlib.contextmanager
def served(app: ASGIApp, **options: Any) -> Iterator[uvicorn.Server]:
    """A server in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="critical", timeout_graceful_shutdown=1, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        poll(lambda: server.started or None)
        yield server
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(params=["httptools", "h11"])
def parsing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module over each of uvicorn's parsers, with short times."""
    module: ModuleType = connections
    if request.param == "h11":
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "httptools", None)
            for name in ("uvicorn.protocols.http.auto", connections.__name__):
                patch.delitem(sys.modules, name)
            module = importlib.import_module(connections.__name__)
        assert module.Connection.__mro__[1].__name__ == "H11Protocol"
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.1)
    return module


REQUEST = b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n"


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes its time, and does not look at the body."""
    await anyio.sleep(1.0 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@contextlib.contextmanager
def client_of(server: uvicorn.Server) -> Iterator[socket.socket]:
    with socket.create_connection(server.servers[0].sockets[0].getsockname()[:2], timeout=30) as client:
        yield client


def read_to_the_end(client: socket.socket) -> bytes:
    """What arrives until the server closes."""
    read = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65_536):
            read += piece
    return read


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("sent", [b"", b"GET / HT", REQUEST[:-2], REQUEST + b"GET"], ids=["nothing", "a line", "half", "a second"])
def test_who_does_not_finish_a_head_loses_the_connection(parsing: ModuleType, sent: bytes, loop: str) -> None:
    with served(greet, http=parsing.Connection, loop=loop) as server, client_of(server) as client:
        client.sendall(sent)
        assert read_to_the_end(client).count(b"hello") == sent.count(REQUEST)
        poll(lambda: not server.server_state.connections or None)


def send_until_refused(client: socket.socket, piece: bytes) -> None:
    """Send again and again, not too fast, until the server has closed."""
    client.settimeout(0.01)
    deadline = time.monotonic() + 30
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            client.sendall(piece)
            with contextlib.suppress(TimeoutError):
                if not client.recv(1):
                    return
        raise AssertionError("The server goes on reading.")


def test_a_trickle_does_not_keep_a_connection(parsing: ModuleType) -> None:
    with served(greet, http=parsing.Connection) as server, client_of(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        send_until_refused(client, b"x")


def test_a_head_has_a_size(parsing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "HEAD_SECONDS", 60)
    with served(greet, http=parsing.Connection) as server, client_of(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        send_until_refused(client, b"x" * 4096)


def test_a_long_body_after_the_answer_does_not_stay_either(parsing: ModuleType) -> None:
    with served(greet, http=parsing.Connection) as server, client_of(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: host.test\r\nContent-Length: 100\r\n\r\nbegun")
        assert read_to_the_end(client).endswith(b"hello")


def test_a_server_that_has_all_of_a_body_says_so(parsing: ModuleType) -> None:
    """What the kit goes by where it saves a time limit."""
    seen = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(is_there(receive))
        await receive()
        seen.append(is_there(receive))
        await greet(scope, receive, send)

    with served(look, http=parsing.Connection) as server, client_of(server) as client:
        head = b"POST / HTTP/1.1\r\nHost: host.test\r\nContent-Length: 4\r\n\r\n"
        client.sendall(head + b"body")
        assert client.recv(65_536)
        client.sendall(head + b"bo")
        assert poll(lambda: len(seen) == 4 or None)
        assert seen == [True, True, False, False]


def paths_for_a_second() -> Iterator[bytes]:
    """Those of requests that are answered at once, between two that are not."""
    yield b"/slow"
    end = time.monotonic() + 1
    while time.monotonic() < end:
        yield b"/"
    yield b"/slow"


def test_who_sends_whole_requests_keeps_the_connection(parsing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "HEAD_SECONDS", 0.3)  # so long it may take on a busy machine until the first request is sent
    with served(greet, http=parsing.Connection) as server, client_of(server) as client:
        for path in paths_for_a_second():
            client.sendall(REQUEST.replace(b"/", path, 1))
            answer = b""
            while not answer.endswith(b"hello"):
                piece = client.recv(65_536)
                assert piece, answer
                answer += piece


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot be told how long to wait for a client")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_neither_reads_nor_goes_loses_its_connection(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.5)
    with served(endless, http=connections.Connection, loop=loop) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.servers[0].sockets[0].getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n")
        assert client.recv(9) == b"HTTP/1.1 "
        poll(lambda: not server.server_state.connections or None)
