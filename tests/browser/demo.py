"""The demo as a process, which may be killed and started again, and its people in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.support.ports import free_port
from tests.support.processes import INSTRUCTIONS, Command, start

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 360, "height": 640}


@dataclass(frozen=True)
class Printed:
    """What the demo tells at its start."""

    url: str
    home: str
    room: str
    links: dict[str, str]

    @classmethod
    def read(cls, text: str) -> Printed:
        """The addresses in its instructions."""
        (url,) = re.findall(r"runs at (\S+),", text)
        (home,) = re.findall(r"^    (http\S+)$", text, re.M)
        (room,) = re.findall(r"joined in (\S+)\.", text)
        return cls(url, home, room, dict(re.findall(r"^    (\w[\w ]*?) +(http\S+)$", text, re.M)))

    def key(self, who: str) -> str:
        """What the address of their page carries."""
        return self.links[who].partition("#")[2]


class Demo:
    """``conversation-kit demo`` in a directory of its own, always on the same port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.printed: Printed
        self._port = str(free_port())
        self._stack = ExitStack()
        self._command: Command

    def start(self) -> None:
        """Return when its instructions are there."""
        arguments = ("demo", "--directory", self.directory / "demo", "--port", self._port)
        self._command = self._stack.enter_context(start(self.directory, *arguments))
        (text,) = self._command.wait_for(INSTRUCTIONS)
        self.printed = Printed.read(text)

    @property
    def url(self) -> str:
        return self.printed.url

    @property
    def room(self) -> str:
        return self.printed.room

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self._command.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        self._command.terminate()

    def close(self) -> None:
        """Leave nothing of it."""
        self._stack.close()
        assert "Traceback" not in self._command.text(), self._command.text()

    def api(self, who: str) -> httpx2.Client:
        """The kit's API as ``Ana`` or another of them."""
        session = httpx2.post(f"{self.url}/demo/session", json={"key": self.printed.key(who)}, trust_env=False).json()
        headers = {"Authorization": f"Bearer {session['token']}"}
        return httpx2.Client(base_url=f"{self.url}/beta", headers=headers, trust_env=False, timeout=30)

    def log(self, conversation: str) -> list[dict[str, Any]]:
        """A conversation's log, from its beginning."""
        log: list[dict[str, Any]] = []
        with self.api("The operator") as api:
            while page := api.get(f"/conversations/{conversation}/events", params={"start_id": len(log) + 1}).json():
                log += page
        return log

    def texts(self) -> list[str]:
        """All texts of the first conversation's log."""
        return [event["body"].get("text", "") for event in self.log(self.room) if event["type"] == "text"]


@contextmanager
def running_demo(directory: Path) -> Iterator[Demo]:
    """A demo; at the end of the block nothing of it is left."""
    demo = Demo(directory)
    demo.start()
    try:
        yield demo
    finally:
        demo.close()


@dataclass
class People:
    """The windows of a test. What they should not do is noted down."""

    browser: Browser
    demo: Demo
    expected: list[str] = field(default_factory=list)
    """Patterns of messages in the console that the test brings about itself."""
    _contexts: list[BrowserContext] = field(default_factory=list)
    _console: list[str] = field(default_factory=list)
    _asked: list[str] = field(default_factory=list)

    def open(self, url: str, **options: Any) -> Page:
        """A new window, as that of another person on another machine."""
        context = self.browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._console.append(f"error: {error.stack}"))
        page.on("request", self._saw)
        page.on("websocket", lambda socket: self._asked.append(socket.url))
        page.goto(url)
        return page

    def chat(self, who: str, **options: Any) -> Page:
        """The chat of one of them, as soon as it is live."""
        page = self.open(self.demo.printed.links[who], **options)
        expect(page.locator("#who")).to_have_text(who)
        if options.get("viewport") == NARROW:
            page.locator(".entry").first.click()
        if who != "Cy":
            expect(page.locator("#conversation")).to_have_attribute("aria-busy", "false")
        return page

    def check(self) -> None:
        """No window complained, or asked anybody but its own server."""
        unexpected = [text for text in self._console if not any(re.search(pattern, text) for pattern in self.expected)]
        assert unexpected == []
        own = self.demo.url.removeprefix("http")
        strangers = [url for url in self._asked if not re.match(rf"(http|ws){re.escape(own)}/", url)]
        assert strangers == []
        # What is behind the # is for the page only, and a bearer token is in no address. Those have dots; a ticket is of random letters.
        assert [url for url in self._asked if re.search(r"eyJ[\w-]+\.", url)] == []
        for context in self._contexts:
            context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._console.append(f"{message.type}: {message.text}")

    def _saw(self, request: Request) -> None:
        self._asked.append(request.url)


def message(page: Page, text: str) -> Any:
    """The messages of a conversation with this text."""
    return page.locator("#messages .bubble").filter(has_text=re.compile(f"^{re.escape(text)}$"))


def say(page: Page, text: str) -> None:
    """Write and send."""
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def shown(page: Page) -> list[str]:
    """The texts of all messages on the page."""
    return page.locator("#messages .bubble").all_inner_texts()
