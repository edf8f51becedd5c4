"""Live streams on real servers: events arrive over both kinds of connection, and SIGTERM ends the server although they are open."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from conversation_kit.auth import make_token
from tests.integration.hosts.servers import Running, running
from tests.support import processes
from tests.support.world import APP, token

SERVERS = [
    ("starlette", "uvicorn"),
    ("fastapi", "uvicorn"),
    ("raw", "uvicorn"),
    ("starlette", "hypercorn"),
    ("quart", "hypercorn"),
    ("fastapi", "hypercorn-trio"),
    ("quart-trio", "hypercorn-trio"),
    ("starlette", "granian"),
]
SECONDS = 30.0


def own() -> dict[str, str]:
    """A token that is not older than the user, however long the tests before have taken."""
    return {"Authorization": f"Bearer {token(APP, 'ana')}"}


@pytest.fixture(scope="module", params=SERVERS, ids="-on-".join)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    host, server = request.param
    with running(host, server, tmp_path_factory.mktemp(f"{host}-on-{server}")) as instance:
        instance.wait()
        yield instance


def make_room(served: Running) -> str:
    """The URL of a new conversation that ana is joined in."""
    served.ask("POST", "/beta/users", json={"name": "ana"})
    room: str = served.ask("POST", "/beta/conversations", "ana").json()["href"]
    assert served.ask("POST", f"{room}/members", "ana", json={"user_name": "ana", "action": "join"}).status_code == 201
    return room


def say(served: Running, room: str, text: str) -> str:
    return str(served.ask("POST", f"{room}/events", "ana", json={"type": "text", "body": {"text": text}}).json()["id"])


def socket(room: str, query: str = "", headers: dict[str, str] | None = None) -> Any:
    return connect(f"{room.replace('http', 'ws', 1)}/events{query}", additional_headers=own() if headers is None else headers)


def frame(socket: Any) -> Any:
    """The next frame of a WebSocket."""
    return json.loads(socket.recv(timeout=SECONDS))


class EventSource:
    """A reader of an event stream in a thread of its own; what it reads is in ``lines``, ``None`` is its end."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.lines: Queue[str | None] = Queue()
        self._thread = threading.Thread(target=self._read, args=(url, own() if headers is None else headers))
        self._thread.start()

    def _read(self, url: str, headers: dict[str, str]) -> None:
        try:
            headers = {**headers, "Accept": "text/event-stream"}
            with httpx2.stream("GET", url, headers=headers, timeout=SECONDS, trust_env=False) as answer:
                assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
                for line in answer.iter_lines():
                    self.lines.put(line)
        except httpx2.TransportError:
            pass  # how servers that have waited long enough end it
        finally:
            self.lines.put(None)

    def event(self) -> Any:
        """The next event."""
        while not (line := self.lines.get(timeout=SECONDS) or "").startswith("data: "):
            pass
        return json.loads(line.removeprefix("data: "))

    def rest(self) -> None:
        """Wait for the end."""
        while self.lines.get(timeout=SECONDS) is not None:
            pass
        self._thread.join(SECONDS)


def test_events_arrive_over_both_and_are_sent_over_one(served: Running) -> None:
    room = make_room(served)
    source = EventSource(f"{room}/events?after=0")
    assert source.event()["type"] == "member:joined"
    with socket(room, "?after=1") as ana:
        assert frame(ana) == {"cursor": "1-0"}
        ana.send(json.dumps({"tid": 1, "type": "text", "body": {"text": "Grüße 🎈"}}))
        frames = [frame(ana) for _ in range(2)]
        answer = next(one for one in frames if "rid" in one)
        event = next(one for one in frames if "rid" not in one)
        assert event.pop("cursor") == "2-0"
        assert (answer["rid"], answer["id"]) == (1, "2")
        assert event == source.event() == served.ask("GET", event["href"], "ana").json()
        said = [say(served, room, "x" * 30_000) for _ in range(20)]
        assert [frame(ana)["id"] for _ in said] == said
        assert [source.event()["id"] for _ in said] == said
        ana.send(b"\x00")
        assert frame(ana)["code"] == "stream:error:binary"
        with pytest.raises(ConnectionClosed) as closed:
            ana.recv(timeout=SECONDS)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1003, "stream:error:binary")
    served.ask("DELETE", room)
    source.rest()


def test_a_handshake_that_may_not_be_is_refused(served: Running) -> None:
    room = make_room(served)
    for headers, query, status in (
        ({}, "", 401),
        ({**own(), "Origin": "https://evil.example"}, "", 403),
        (own(), "?after=99", 400),
    ):
        with pytest.raises(InvalidStatus) as refused:
            socket(room, query, headers).__enter__()
        assert refused.value.response.status_code == status


def test_a_client_that_goes_leaves_nothing_and_a_ticket_is_enough(served: Running) -> None:
    room = make_room(served)
    for _ in range(25):  # more than a user may have at once
        ticket = served.ask("POST", f"{room}/tickets", "ana").json()
        with socket(room, "?" + ticket["href"].partition("?")[2], {}) as ana:
            assert set(frame(ana)) == {"cursor"}
            say(served, room, "hello")
            assert frame(ana)["type"] == "text"
        with httpx2.stream("GET", f"{room}/events", headers={**own(), "Accept": "text/event-stream"}, trust_env=False) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()).startswith("retry: ")


def test_sigterm_ends_the_server_with_streams_open(served: Running) -> None:
    if served.server == "hypercorn" and sys.version_info >= (3, 12):
        pytest.skip("since Python 3.12 asyncio's servers wait for their connections, and Hypercorn's workers hear of no signal")
    room = make_room(served)
    source = EventSource(f"{room}/events?after=0")
    source.event()
    with socket(room) as ana:
        assert set(frame(ana)) == {"cursor"}
        # At once, but Hypercorn tells its workers without a signal, so that streams are open until its graceful time, 3 s, is over.
        assert served.stop() in (0, -signal.SIGTERM), served.output()
        with suppress(ConnectionClosed):  # or it is closed in good order
            for last in ana:
                assert json.loads(last)["code"] == "stream:error:stopping"
    source.rest()
    assert "storage closed" in served.notes()
    if served.server != "hypercorn":  # which cancels what is left, and shows where it was
        assert "Traceback" not in served.output()


def test_hypercorn_without_workers_ends_at_once(tmp_path: Path) -> None:
    with running("starlette", "hypercorn", tmp_path, "--workers", "0", "--graceful-timeout", "600") as served:
        served.wait()
        room = make_room(served)
        source = EventSource(f"{room}/events?after=0")
        source.event()
        with socket(room) as ana:
            assert set(frame(ana)) == {"cursor"}
            assert served.stop() == 0, served.output()
            assert frame(ana)["code"] == "stream:error:stopping"
            with pytest.raises(ConnectionClosed) as closed:
                ana.recv(timeout=SECONDS)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        source.rest()
        assert "Traceback" not in served.output()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_takes_tickets_in_any_worker_and_ends_with_streams_open(tmp_path: Path, workers: int) -> None:
    directory = processes.keygen(tmp_path / "keys")
    private = (directory / "private.pem").read_text()
    admin = {"Authorization": f"Bearer {make_token(private, 'shop', ttl=600)}"}
    storage = f"sqlite:///{tmp_path / 'chat.db'}"
    with processes.serve(tmp_path, "--application", f"shop={directory / 'public.pem'}", "--storage", storage, workers=workers) as served:
        room = httpx2.post(f"{served.url}/beta/conversations", headers=admin, trust_env=False).json()["href"]
        sources = [EventSource(f"{room}/events?after=0", admin) for _ in range(4)]
        httpx2.post(f"{room}/events", headers=admin, json={"type": "text", "body": {"text": "hello"}}, trust_env=False)
        for _ in range(6):
            ticket = httpx2.post(f"{room}/tickets", headers=admin, trust_env=False).json()
            sources.append(EventSource(f"{ticket['href']}&after=0", {}))
        # Whichever worker they are in, and whichever made the ticket.
        assert [source.event()["type"] for source in sources] == ["text"] * 10
        assert served.terminate() in (0, -signal.SIGTERM), served.text()
        for source in sources:
            source.rest()
        assert "graceful shutdown exceeded" not in served.text()
        assert "Traceback" not in served.text()
