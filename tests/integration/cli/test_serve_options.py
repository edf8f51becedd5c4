"""Options of ``conversation-kit serve``."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from playwright.sync_api import sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from conversation_kit import ConversationKit, JWTAuthenticator
from conversation_kit.auth import make_token
from tests.support.browsers import ARGUMENTS, chromium
from tests.support.processes import poll, run, serve
from tests.support.world import APP, keys

SECONDS = 30.0
FLOW = """
async ([room, token]) => {
  const headers = {Authorization: `Bearer ${token}`};
  const post = async (path, body) => (await fetch(room + path, {
    method: "POST", headers: {...headers, "Content-Type": "application/json"}, body: JSON.stringify(body),
  })).json();
  const say = (text) => post("/events", {type: "text", body: {text}});
  // Read an event stream from after `last` up to its next event, and go away.
  const next = async (last) => {
    const stop = new AbortController();
    const answer = await fetch(room + "/events", {
      headers: {...headers, Accept: "text/event-stream", "Last-Event-ID": last}, signal: stop.signal,
    });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const {value, done} = await reader.read();
      if (done) throw new Error("the stream has ended");
      text += value;
      const found = text.match(/^id: (\\d+)-\\d+\\ndata: .*\\n\\n/m);
      if (found) { stop.abort(); return found[1]; }
    }
  };
  const first = (await say("one")).id;
  const second = (await say("two")).id;
  const seen = [await next(String(first - 1)), await next(first)];
  const page = await fetch(`${room}/events?page_size=1`, {headers});
  const {href} = await post("/tickets", {});
  const opened = await new Promise((resolve) => {
    const socket = new WebSocket(href.replace("http", "ws"));
    socket.onopen = () => { socket.close(); resolve(true); };
    socket.onerror = () => resolve(false);
  });
  return {said: [first, second], seen, opened, link: page.headers.get("Link")};
}
"""


def token(who: str | None) -> str:
    return make_token(keys(APP)[0], APP, sub=who, ttl=600)


def ask(method: str, url: str, who: str | None = None, **options: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token(who)}", **options.pop("headers", {})}
    return httpx2.request(method, url, headers=headers, timeout=SECONDS, trust_env=False, **options)


@contextlib.contextmanager
def page_server() -> Iterator[str]:
    """The origin of an empty page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def make_room(url: str) -> str:
    assert ask("POST", f"{url}/beta/users", json={"name": "ana"}).status_code == 200
    room: str = ask("POST", f"{url}/beta/conversations", "ana", json={}).json()["href"]
    assert ask("POST", f"{room}/members", "ana", json={"user_name": "ana", "action": "join"}).status_code == 201
    return room


@contextlib.contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    (folder / "public.pem").write_text(keys(APP)[1])
    headers = {"Authorization": f"Bearer {token(None)}"}
    options = ("--application", f"{APP}=public.pem", "--storage", "memory://", *arguments)
    with serve(folder, *options, probe="/users", headers=headers) as server:
        yield server.url


@contextlib.contextmanager
def as_documented(folder: Path, option: str, origin: str) -> Iterator[str]:
    """A server of the application that docs/mounting.md shows, with another origin and other callers."""
    text = (Path(__file__).parents[3] / "docs" / "mounting.md").read_text()
    (block,) = re.findall(r"```python\n((?:(?!```).)*CORSMiddleware,.*?)```", text, re.S)
    block = block.replace("https://app.example.com", origin).replace("HostAuthenticator(lambda scope: None)", "auth")
    namespace: dict[str, Any] = {
        "ConversationKit": ConversationKit,
        "auth": JWTAuthenticator({APP: keys(APP)[1]}),
        "Mount": Mount,
        "Starlette": Starlette,
    }
    exec(compile(block, "docs/mounting.md", "exec"), namespace)
    server = uvicorn.Server(uvicorn.Config(namespace["app"], port=0, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        poll(lambda: server.started or None)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("server", [served, as_documented])
def test_a_page_of_an_allowed_origin_does_everything_and_goes_on_with_a_stream(server: Any, tmp_path: Path) -> None:
    path = chromium()
    with page_server() as origin, server(tmp_path, "--allow-origin", origin) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(origin)
        room = make_room(url)
        found = page.evaluate(FLOW, [room, token("ana")])
        assert found["seen"] == found["said"]
        assert found["opened"] is True
        assert 'rel="next"' in found["link"]
        browser.close()


def test_pages_of_other_origins_get_nothing(tmp_path: Path) -> None:
    with served(tmp_path, "--allow-origin", "https://Shop.example/", "--allow-origin", "http://127.0.0.1:5173") as url:
        room = make_room(url)
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "last-event-id"}
        for origin, may in [("https://shop.example", True), ("http://127.0.0.1:5173", True), ("https://evil.example", False)]:
            preflight = ask("OPTIONS", room, headers={"Origin": origin, **asked})
            assert preflight.headers.get("access-control-allow-origin") == (origin if may else None)
            with contextlib.suppress(InvalidStatus):
                headers = {"Authorization": f"Bearer {token('ana')}"}
                with connect(f"{room.replace('http', 'ws', 1)}/events", additional_headers=headers, origin=Origin(origin)):
                    assert may
                    continue
            assert not may


def test_origins_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    for origin in ("*", "shop.example", "https://shop.example/chat"):
        done = run("serve", "--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", "memory://", "--allow-origin", origin)
        assert done.returncode == 2
        assert "allowed_origins=" in done.stderr


def test_without_docs_there_is_the_api_only(tmp_path: Path) -> None:
    with served(tmp_path, "--no-docs") as url:
        for page in ("/", "/docs", "/openapi.json", "/docs/start.js"):
            assert ask("GET", f"{url}/beta{page}").status_code == 404
        assert ask("GET", f"{url}/beta/users").status_code == 200


def test_answers_are_not_kept_and_pages_not_framed(tmp_path: Path) -> None:
    with served(tmp_path) as url:
        for path in ("/users", "/nothing", "/"):
            answer = ask("GET", f"{url}/beta{path}")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in answer.headers
        policy = ask("GET", f"{url}/beta/docs").headers["content-security-policy"]
        assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy.split("; "))
