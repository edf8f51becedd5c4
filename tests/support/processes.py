"""conversation-kit in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx2

T = TypeVar("T")
COMMAND = str(Path(sys.executable).with_name("conversation-kit"))
INSTRUCTIONS = r"(?s)A host application runs at .*?side by side:\n\n    http\S+\n"
"""Matches all that the demo prints at its start."""
DEADLINE = 60.0
"""Seconds after which what should have happened is taken not to happen any more."""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    command = [COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=DEADLINE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def keygen(directory: Path) -> Path:
    """The directory with a new key pair in it."""
    made = run("keygen", directory)
    assert made.returncode == 0, made.stderr
    return directory


def poll(look: Callable[[], T | None]) -> T:
    """What ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + DEADLINE
    while (found := look()) is None:
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.01)
    return found


@dataclass
class Command:
    """A command that runs until it is stopped, in a process group of its own."""

    process: subprocess.Popen[bytes]
    output: Path
    began: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, pattern: str, times: int = 1) -> list[str]:
        """What a pattern matches in the output, as soon as it matches that often."""

        def look() -> list[str] | None:
            exited = self.process.poll() is not None
            found: list[str] = re.findall(pattern, self.text())
            if len(found) >= times:
                return found
            assert not exited, f"It ended with {self.process.returncode}:\n{self.text()}"
            return None

        return poll(look)

    def wait_for_answer(self, url: str, headers: Mapping[str, str] | None) -> float:
        """The seconds from the start to the first answer, which is a good one."""

        def look() -> httpx2.Response | None:
            with suppress(httpx2.ConnectError):
                return httpx2.get(url, headers=headers, timeout=DEADLINE, trust_env=False)
            assert self.process.poll() is None, f"It ended with {self.process.returncode}:\n{self.text()}"
            return None

        answer = poll(look)
        assert answer.status_code == 200, answer.text
        return time.monotonic() - self.began

    def terminate(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """Kill it and all of its children at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)


@dataclass
class Server(Command):
    """``conversation-kit serve``."""

    url: str = ""
    """Where it is, without the path of the API."""
    workers: Sequence[int] = ()
    """The ids of the processes that answer."""
    answered: float = 0.0
    """Seconds from its start to its first good answer."""


@contextmanager
def start(directory: Path, *arguments: str | Path) -> Iterator[Command]:
    """Start a command that does not end; at the end of the block nothing of it is left."""
    handle, name = tempfile.mkstemp(suffix=".log", dir=directory)
    with os.fdopen(handle, "wb") as output:
        process = subprocess.Popen(
            [COMMAND, *map(str, arguments)], cwd=directory, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    command = Command(process, Path(name))
    try:
        yield command
    finally:
        command.kill()


@contextmanager
def serve(
    directory: Path,
    *arguments: str | Path,
    workers: int = 1,
    path: str = "/beta",
    probe: str = "/openapi.json",
    headers: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Start a server on a port that is free, wait until it answers ``probe`` and until all of its workers are there."""
    with start(directory, "serve", "--port", "0", "--workers", str(workers), "--path", path, *arguments) as command:
        url = command.wait_for(r"Uvicorn running on (http://\S+)")[0]
        base = "/".join(part for part in (url, path.strip("/")) if part)
        answered = command.wait_for_answer(base + probe, headers)
        pids = [int(pid) for pid in command.wait_for(r"Started server process \[(\d+)\]", workers)]
        command.wait_for("Application startup complete", workers)
        yield Server(command.process, command.output, command.began, url, pids, answered)


@asynccontextmanager
async def connections(server: Server, each: int) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Clients with one connection each, ``each`` of them to every worker of a server.

    While the connections to one worker are made the others are stopped, so that nobody else can have accepted them.
    """
    async with AsyncExitStack() as stack:
        clients = []
        for worker in server.workers:
            others = [other for other in server.workers if other != worker]
            for other in others:
                os.kill(other, signal.SIGSTOP)
            try:
                for _ in range(each):
                    client = httpx2.AsyncClient(
                        base_url=server.url,
                        limits=httpx2.Limits(max_connections=1, keepalive_expiry=None),
                        timeout=DEADLINE,
                        trust_env=False,
                        verify=False,
                    )
                    clients.append(await stack.enter_async_context(client))
                    assert (await client.get("/beta/openapi.json")).status_code == 200
            finally:
                for other in others:
                    os.kill(other, signal.SIGCONT)
        yield clients
