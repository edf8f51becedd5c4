"""Keys that are fetched: from a URL, which is a real server here, or by a function of the host."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest

from conversation_kit import ConversationKit
from conversation_kit.auth import JWTAuthenticator, key_sources, make_key_pair, make_token
from conversation_kit.domain.errors import ConfigurationError, HookFailed, Unauthenticated
from tests.support.keys import jwk
from tests.support.world import APP, keys, open_world

pytestmark = pytest.mark.anyio


@dataclass
class Server:
    """Serves one document, and counts how often it is asked for."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    waits: threading.Event | None = None

    def serve(self, *entries: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": entries}).encode()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked += 1
            if server.waits is not None:
                server.waits.wait(30)
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}/jwks.json"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            if server.waits is not None:
                server.waits.set()
            http.shutdown()
            thread.join()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass for the sources of keys, and for nothing else; of itself it stands still."""
    now = [time.monotonic()]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr("conversation_kit.auth.key_sources.time", Clock)
    monkeypatch.setattr("conversation_kit.auth.jwt_authenticator.monotonic", Clock.monotonic)

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def scope(token: str) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"authorization", b"Bearer " + token.encode())]}


async def test_keys_are_fetched_once_and_again_for_a_kid_that_is_new(clock: Callable[[float], None]) -> None:
    new = make_key_pair()
    with serving() as server:
        auth = JWTAuthenticator({APP: server.url})
        server.serve(jwk("one"))
        for number in range(3):
            token = make_token(keys(APP)[0], APP, sub=f"user-{number}", kid="one")
            assert (await auth.authenticate(scope(token))).user_name == f"user-{number}"
        assert server.asked == 1
        server.serve(jwk("one"), jwk("two", new[0]))
        clock(key_sources.RETRY_SECONDS)
        assert (await auth.authenticate(scope(make_token(new[0], APP, kid="two")))).is_admin
        assert server.asked == 2


async def test_unknown_kids_do_not_make_the_kit_ask_again_and_again(clock: Callable[[float], None]) -> None:
    with serving() as server:
        auth = JWTAuthenticator({APP: server.url})
        server.serve(jwk("one"))
        for number in range(20):
            with pytest.raises(Unauthenticated):
                await auth.authenticate(scope(make_token(keys(APP)[0], APP, kid=f"kid-{number}")))
        assert server.asked == 1


async def test_a_key_that_was_taken_away_is_good_for_five_minutes_at_most(clock: Callable[[float], None]) -> None:
    new = make_key_pair()
    with serving() as server:
        auth = JWTAuthenticator({APP: server.url}, clock=lambda: now[0])
        now = [1_800_000_000.0]
        old = make_token(keys(APP)[0], APP, kid="one", now=now[0], ttl=3600)
        server.serve(jwk("one"))
        assert (await auth.authenticate(scope(old))).is_admin
        server.serve(jwk("two", new[0]))
        now[0] += key_sources.FRESH_SECONDS
        clock(key_sources.FRESH_SECONDS)
        with pytest.raises(Unauthenticated):
            await auth.authenticate(scope(old))


async def test_keys_that_cannot_be_fetched_again_are_used_for_an_hour_and_no_longer(
    clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    token = make_token(keys(APP)[0], APP, kid="one")
    with serving() as server:
        auth = JWTAuthenticator({APP: server.url}, cache_size=0)
        server.serve(jwk("one"))
        assert (await auth.authenticate(scope(token))).is_admin
        server.status = 500
        clock(key_sources.FRESH_SECONDS)
        assert (await auth.authenticate(scope(token))).is_admin
        assert "cannot be fetched: the server answers 500" in caplog.text
        clock(key_sources.STALE_SECONDS)
        with pytest.raises(HookFailed):
            await auth.authenticate(scope(token))


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (404, {}, b"", "404"),
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b"", "302 .redirects are not followed"),
        (200, {}, b"junk", "JSONDecodeError"),
        (200, {}, b"[]", "no JSON Web Key Set"),
        (200, {}, b'{"keys": []}', "from 1 to 16"),
        (200, {}, b" " * 300_000, "more than"),
        (200, {}, b"[" * 100_000, "RecursionError"),
    ],
)
@pytest.mark.usefixtures("clock")
async def test_an_answer_that_is_no_key_set_is_logged_and_answered_as_a_503(
    status: int, headers: dict[str, str], body: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        server.status, server.headers, server.body = status, headers, body
        kit = ConversationKit(storage="memory://", auth=JWTAuthenticator({APP: server.url + "?secret=s3cret"}), application_id=APP)
        async with open_world(kit, populate=False) as world:
            for _ in range(3):
                response = await world.call("GET", "/users", "admin")
                assert (response.status_code, response.json()["code"]) == (503, "system:error:hook-failed")
        assert server.asked == 1
    records = [record.getMessage() for record in caplog.records if "cannot be fetched" in record.getMessage()]
    assert len(records) == 1
    assert re.search(reason, records[0])
    assert "s3cret" not in caplog.text


async def test_a_server_that_hangs_costs_a_request_its_time_and_no_more(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    token = make_token(keys(APP)[0], APP, kid="one")
    with serving() as server:
        server.serve(jwk("one"))
        auth = JWTAuthenticator({APP: server.url}, cache_size=0)
        assert (await auth.authenticate(scope(token))).is_admin
        server.waits = threading.Event()
        monkeypatch.setattr("conversation_kit.auth.key_sources.FETCH_SECONDS", 0.2)
        clock(key_sources.FRESH_SECONDS)
        with anyio.fail_after(30):
            for _ in range(3):
                assert (await auth.authenticate(scope(token))).is_admin
        with pytest.raises(HookFailed):
            await JWTAuthenticator({APP: server.url}).authenticate(scope(token))


async def test_a_function_of_the_host_gives_keys_and_may_block(clock: Callable[[float], None]) -> None:
    here = threading.get_ident()
    calls: list[int] = []

    def read_keys() -> Any:
        calls.append(threading.get_ident())
        return {"one": keys(APP)[1]}

    auth = JWTAuthenticator({APP: read_keys})
    for sub in ("ana", "bo"):
        token = make_token(keys(APP)[0], APP, sub=sub, kid="one")
        assert (await auth.authenticate(scope(token))).user_name == sub
    assert len(calls) == 1
    assert calls[0] != here
    assert JWTAuthenticator({APP: read_keys}).verify(make_token(keys(APP)[0], APP)).is_admin


async def test_a_function_that_raises_is_logged_and_asked_again_later(
    clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = [RuntimeError("no vault"), None, keys(APP)[1]]

    def read_keys() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    auth, token = JWTAuthenticator({APP: read_keys}), make_token(keys(APP)[0], APP)
    for reason in ("no vault", "is None"):
        for _ in range(2):
            with pytest.raises(HookFailed):
                await auth.authenticate(scope(token))
        assert reason in caplog.text
        clock(key_sources.RETRY_SECONDS)
    assert (await auth.authenticate(scope(token))).is_admin


async def test_many_requests_at_once_fetch_the_keys_once() -> None:
    with serving() as server:
        server.serve(jwk("one"))
        auth, done = JWTAuthenticator({APP: server.url}), []

        async def ask(number: int) -> None:
            token = make_token(keys(APP)[0], APP, sub=f"user-{number}", kid="one")
            done.append((await auth.authenticate(scope(token))).user_name)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, number)
        assert len(done) == 20
        assert server.asked == 1


@pytest.mark.parametrize(
    "url", ["http://keys.example/jwks.json", "https://", "https:///jwks.json", "https://[::1", "https://a b/", "http://localhost.example/"]
)
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https://"):
        JWTAuthenticator({APP: url})


def test_an_async_function_is_refused_at_once() -> None:
    async def read_keys() -> Any:
        return keys(APP)[1]

    with pytest.raises(ConfigurationError, match="must not be async"):
        JWTAuthenticator({APP: read_keys})  # type: ignore[dict-item]
