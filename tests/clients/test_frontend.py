"""The front ends in ``examples/frontend``, in a browser, against ``conversation-kit serve`` on an SQLite file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from conversation_kit.auth import make_key_pair, make_token
from tests.integration.docs.repository import ROOT
from tests.support.browsers import ARGUMENTS, chromium
from tests.support.npm import install
from tests.support.ports import free_port
from tests.support.processes import Command, run, start
from tests.support.snippets import blocks

FRONTEND = ROOT / "examples" / "frontend"
REACT = Path(__file__).parent / "react" / "package.json"
LOCAL = "--disable-features=LocalNetworkAccessChecks"
"""Pages that a test answers itself come from no address, and Chromium lets such pages open no WebSocket to this machine."""
STARTED = "Application startup complete"

expect.set_options(timeout=30_000)


@dataclass
class Host:
    """A server that may be stopped and started again on its port, with two users in one conversation for each test."""

    directory: Path
    port: int = field(default_factory=free_port)
    room: str = ""
    members: dict[str, str] = field(default_factory=dict)
    suffix: str = ""
    stack: ExitStack = field(default_factory=ExitStack)
    _command: Command | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        return f"sqlite:///{self.directory / 'chat.db'}"

    def start(self) -> None:
        keys = f"shop={self.directory / 'public.pem'}"
        arguments = ("serve", "--port", str(self.port), "--application", keys, "--storage", self.storage)
        self._command = self.stack.enter_context(start(self.directory, *arguments))
        self._command.wait_for(STARTED)

    def stop(self) -> None:
        assert self._command is not None
        self._command.terminate()

    def token(self, name: str | None = None) -> str:
        return make_token(self.directory / "private.pem", "shop", sub=name and name + self.suffix)

    def ask(self, method: str, path: str, body: object = None, *, by: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token(by)}"}
        answer = httpx2.request(method, f"{self.url}/beta{path}", headers=headers, json=body, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def post(self, type: str, body: object, *, by: str = "bo") -> Any:
        return self.ask("POST", f"/conversations/{self.room}/events", {"type": type, "body": body}, by=by)

    def furnish(self) -> None:
        self.suffix = f"-{uuid4().hex}"
        for name in ("ana", "bo"):
            self.ask("POST", "/users", {"name": name + self.suffix})
        self.room = self.ask("POST", "/conversations", {"display_name": "Tea kitchen"})["id"]
        for name in ("ana", "bo"):
            body = {"action": "join", "user_name": name + self.suffix}
            self.members[name] = self.ask("POST", f"/conversations/{self.room}/members", body)["id"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, LOCAL])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("frontend"))
    for name, key in zip(("private", "public"), make_key_pair(), strict=True):
        (host.directory / f"{name}.pem").write_text(key)
    with host.stack:
        host.start()
        yield host


@pytest.fixture
def host(server: Host) -> Host:
    server.furnish()
    return server


def answer(text: str, kind: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=text, content_type=kind)


def opened(browser: Browser, host: Host, files: dict[str, str]) -> Page:
    """A page of the server's own origin, with these files beside it and ana's token in ``token``."""
    page = browser.new_context().new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    for name, text in files.items():
        page.route(f"{host.url}/page/{name}", answer(text, "text/html" if name.endswith(".html") else "text/javascript"))
    page.add_init_script(f"window.token = () => {json.dumps(host.token('ana'))};")
    page.goto(f"{host.url}/page/index.html")
    return page


def state(page: Page, wanted: str) -> Any:
    """What ``wanted`` of the chat's snapshot is, as soon as it is something."""
    return page.wait_for_function(f"() => {{ const {{state, rooms}} = chat.snapshot(), [room] = rooms; return {wanted}; }}").json_value()


TEXTS = "room.messages.map((message) => message.body.text)"


@pytest.fixture
def page(browser: Browser, host: Host) -> Page:
    script = """
        <script type="module">
            import {Chat} from "./chat.js";
            window.chat = new Chat("/beta", token);
            window.end = chat.start();
        </script>"""
    page = opened(browser, host, {"index.html": script, "chat.js": (FRONTEND / "chat.js").read_text()})
    page.wait_for_function("() => window.chat")
    assert state(page, "state === 'live' && room?.name") == "Tea kitchen"
    return page


def test_what_others_say_is_live_and_unread_until_it_is_seen(host: Host, page: Page) -> None:
    host.post("text", {"text": "Mint for me"})
    assert state(page, "room.unread") == 1
    last = host.post("text", {"text": "please"})["id"]
    assert state(page, "room.unread === 2 && " + TEXTS) == ["Mint for me", "please"]
    page.evaluate("([id, event]) => chat.seen(id, event)", [host.room, int(last)])
    assert state(page, "room.unread === 0") is True
    page.evaluate("(id) => chat.send(id, 'Coming')", host.room)
    assert state(page, "room.messages.length === 3 && room.unread === 0") is True


def test_opening_a_conversation_reads_what_was_said_before(browser: Browser, host: Host, page: Page) -> None:
    host.post("text", {"text": "before"})
    page.reload()
    page.wait_for_function("() => window.chat")
    assert state(page, "state === 'live' && room.unread") == 1
    page.evaluate("(id) => chat.open(id)", host.room)
    assert state(page, "room.messages.length && " + TEXTS) == ["before"]


def test_typing_shows_and_ends_with_the_message(host: Host, page: Page) -> None:
    host.post("text:typing:on", {})
    assert state(page, "room.typing.length && room.typing") == [host.members["bo"]]
    host.post("text", {"text": "There"})
    assert state(page, "room.messages.length === 1 && room.typing.length === 0") is True


def test_typing_is_told_over_the_socket(browser: Browser, host: Host, page: Page) -> None:
    with httpx2.stream(
        "GET",
        f"{host.url}/beta/conversations/{host.room}/events",
        headers={"Authorization": f"Bearer {host.token('bo')}", "Accept": "text/event-stream"},
        trust_env=False,
    ) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("id:"))
        page.evaluate("(id) => chat.typing(id)", host.room)
        heard = json.loads(next(line for line in lines if line.startswith("data:"))[5:])
    assert (heard["type"], heard["from"]) == ("text:typing:on", host.members["ana"])


def test_a_deleted_message_is_gone_and_is_not_unread(host: Host, page: Page) -> None:
    event = host.post("text", {"text": "oops"})["id"]
    assert state(page, "room.unread") == 1
    host.ask("DELETE", f"/conversations/{host.room}/events/{event}", by="bo")
    assert state(page, "room.unread === 0 && room.messages.length === 0") is True


def test_an_invitation_appears_by_itself(host: Host, page: Page) -> None:
    other = host.ask("POST", "/conversations", {"display_name": "Choir"})["id"]
    host.ask("POST", f"/conversations/{other}/members", {"action": "invite", "user_name": "ana" + host.suffix})
    assert state(page, "rooms.find((one) => one.name === 'Choir')?.state") == "invited"


def test_after_a_cut_it_goes_on_where_it_was(host: Host, page: Page) -> None:
    host.post("text", {"text": "one"})
    assert state(page, "room.messages.length") == 1
    host.stop()
    assert state(page, "state === 'reconnecting'") is True
    host.start()
    host.post("text", {"text": "two"})
    assert state(page, "state === 'live' && room.messages.length === 2 && " + TEXTS) == ["one", "two"]


def test_another_log_makes_it_read_everything_again(host: Host, page: Page) -> None:
    host.post("text", {"text": "of the old log"})
    page.evaluate("(id) => chat.open(id)", host.room)
    assert state(page, "room.messages.length") == 1
    page.evaluate("() => { window.first = chat.snapshot().rooms[0].messages[0]; }")
    host.stop()
    assert state(page, "state === 'reconnecting'") is True
    assert run("restored", "--storage", host.storage).returncode == 0
    host.start()
    assert state(page, "state === 'live' && room?.messages.length === 1 && room.messages[0] !== first") is True


def test_without_access_it_ends(browser: Browser, host: Host) -> None:
    script = """
        <script type="module">
            import {Chat} from "./chat.js";
            window.chat = new Chat("/beta", () => "no token");
            chat.start();
        </script>"""
    page = opened(browser, host, {"index.html": script, "chat.js": (FRONTEND / "chat.js").read_text()})
    page.wait_for_function("() => window.chat")
    assert state(page, "state === 'ended'") is True


def check_heard_through(host: Host, page: Page) -> None:
    """What the page puts into ``heard`` goes on after the server was away, and says so when the server has another log."""
    host.post("text", {"text": "one"})
    page.wait_for_function("() => heard.length === 1")
    host.stop()
    host.start()
    host.post("text", {"text": "two"})
    page.wait_for_function("() => heard.length === 2")
    host.stop()
    assert run("restored", "--storage", host.storage).returncode == 0
    host.start()
    page.wait_for_function("() => heard.length === 3")
    assert page.evaluate("() => heard") == ["one", "two", "reset"]


def test_server_sent_events_go_on_after_a_cut_and_tell_of_another_log(browser: Browser, host: Host) -> None:
    script = """
        <script type="module">
            import {listen} from "./listen.js";
            window.heard = [];
            const onEvent = ({body}) => heard.push(body.text);
            listen("/beta", {onEvent, onReset: () => heard.push("reset"), onEnd: (code) => heard.push(code)});
        </script>"""
    page = opened(browser, host, {"index.html": "", "events.html": script, "listen.js": (FRONTEND / "listen.js").read_text()})
    page.context.set_extra_http_headers({"Authorization": f"Bearer {host.token('ana')}"})  # stands for the cookie
    with page.expect_response("**/users/me/events"):
        page.goto(f"{host.url}/page/events.html")
    check_heard_through(host, page)


def test_the_function_of_the_page_about_streams_goes_on_after_a_cut_and_tells_of_another_log(browser: Browser, host: Host) -> None:
    (function,) = (block.text for block in blocks(ROOT / "docs" / "streams.md") if block.language == "javascript")
    call = """
        window.heard = [];
        const onEvent = ({body}) => heard.push(body.text);
        listen("/beta", room, token, last, {onEvent, onReset: () => heard.push("reset")});"""
    last = host.post("text", {"text": "before"})["id"]
    script = f"<script>const room = '{host.room}', last = '{last}'; {function} {call}</script>"
    page = opened(browser, host, {"index.html": script})
    check_heard_through(host, page)


def test_the_react_example_shows_it(browser: Browser, host: Host, tmp_path: Path) -> None:
    folder = install(REACT)
    (tmp_path / "index.jsx").write_text(
        f"""import {{StrictMode}} from "react";
        import {{createRoot}} from "react-dom/client";
        import {{Rooms}} from "{FRONTEND / "Rooms.jsx"}";
        createRoot(document.querySelector("div")).render(<StrictMode><Rooms base="/beta" token={{window.token}} /></StrictMode>);"""
    )
    built = subprocess.run(
        [folder / "node_modules" / ".bin" / "esbuild", tmp_path / "index.jsx", "--bundle", "--jsx=automatic", "--log-level=warning"],
        env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (built.returncode, built.stderr) == (0, "")
    host.post("text", {"text": "Mint for me"})
    page = opened(browser, host, {"index.html": "<div></div><script src='index.js'></script>", "index.js": built.stdout})
    expect(page.get_by_role("status")).to_have_text("live")
    expect(page.get_by_role("button")).to_have_text("Tea kitchen 1")
    page.get_by_role("button").click()
    expect(page.locator("ol li")).to_have_text(["Mint for me"])
    expect(page.get_by_role("button")).to_have_text("Tea kitchen ")
    host.post("text:typing:on", {})
    expect(page.get_by_text("Somebody is typing")).to_be_visible()
    page.get_by_role("textbox").fill("Coming")
    page.get_by_role("textbox").press("Enter")
    expect(page.locator("ol li")).to_have_text(["Mint for me", "Coming"])
    expect(page.get_by_role("textbox")).to_have_value("")
