"""What clients can do to ``conversation-kit serve`` whom nobody knows, or who mean no good."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from conversation_kit.auth import make_token
from conversation_kit.http.live.websocket import MAX_FRAME, MAX_MESSAGE
from tests.support.processes import Server, serve
from tests.support.world import APP, keys

SECONDS = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "public.pem").write_text(keys(APP)[1])
    with serve(folder, "--application", f"{APP}=public.pem", "--storage", "memory://") as running:
        yield running


@pytest.fixture(scope="module")
def room(server: Server) -> str:
    """The URL of a conversation that ana is joined in."""
    assert ask(server.url + "/beta/users", None, {"name": "ana"}).status_code == 200
    url: str = ask(server.url + "/beta/conversations", "ana", {}).json()["href"]
    assert ask(f"{url}/members", "ana", {"user_name": "ana", "action": "join"}).status_code == 201
    return url


def bearer(who: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(keys(APP)[0], APP, sub=who, ttl=600)}"}


def ask(url: str, who: str | None, body: Any) -> httpx2.Response:
    return httpx2.post(url, headers=bearer(who), json=body, timeout=SECONDS, trust_env=False)


def stream(room: str, query: str = "", **options: Any) -> ClientConnection:
    options = {"additional_headers": bearer("ana"), **options}
    client: ClientConnection = connect(f"{room.replace('http', 'ws', 1)}/events{query}", **options)
    return client


def close_of(client: ClientConnection) -> tuple[int, str]:
    """Read to the end, and return how the server closed."""
    with suppress(ConnectionClosed):
        while True:
            client.recv(timeout=SECONDS)
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


def test_messages_are_not_compressed_and_too_long_ones_close_the_connection(room: str) -> None:
    with stream(room) as client:
        assert client.protocol.extensions == []
        client.send(" " * (MAX_MESSAGE + 1))
        assert close_of(client)[0] == 1009


def test_a_message_that_is_a_little_too_long_is_told_by_the_kit(room: str) -> None:
    with stream(room) as client:
        assert set(json.loads(client.recv(timeout=SECONDS))) == {"cursor"}
        client.send("x" * (MAX_FRAME + 1))
        assert json.loads(client.recv(timeout=SECONDS))["code"] == "http:error:payload-too-large"
        assert close_of(client) == (1009, "http:error:payload-too-large")


def test_the_server_takes_all_that_the_kit_takes(room: str) -> None:
    assert MAX_FRAME < MAX_MESSAGE < MAX_FRAME + 1000
    with stream(room) as client:
        client.send(json.dumps({"tid": "x" * 255, "type": "ephemeral", "body": {"text": "x" * 60_000}}).ljust(MAX_FRAME))
        assert json.loads(client.recv(timeout=SECONDS)).get("code") != "http:error:payload-too-large"


def test_the_log_has_no_tickets_and_no_line_for_each_stranger(server: Server, room: str) -> None:
    ticket = ask(f"{room}/tickets", "ana", {}).json()["ticket"]
    with stream(room, f"?ticket={ticket}", additional_headers={}):
        pass
    for path in (f"?ticket={ticket}", "?ticket=nonsense", ""):
        with pytest.raises(InvalidStatus) as refused, stream(room, path, additional_headers={}):
            pass
        assert refused.value.response.status_code == 401
    address = server.url.removeprefix("http://").split(":")
    for _ in range(5):
        for noise in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"):
            with socket.create_connection((address[0], int(address[1])), timeout=SECONDS) as client:
                client.sendall(noise)
                assert client.recv(65_536)
    text = server.text()
    assert ticket[:40] not in text
    assert "nonsense" not in text
    assert "ERROR" not in text
    assert text.count("Invalid HTTP request received.") == 1
    assert text.count("Unsupported upgrade request.") <= 1
