"""Real servers in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from tests.support.ports import free_port
from tests.support.world import APP, keys, token

START_SECONDS = 60.0
STOP_SECONDS = 30.0
BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]
COMMANDS = {
    "uvicorn": "uvicorn {app} --host 127.0.0.1 --port {port}",
    "hypercorn": "hypercorn {app} --bind 127.0.0.1:{port} --worker-class asyncio",
    "hypercorn-trio": "hypercorn {app} --bind 127.0.0.1:{port} --worker-class trio",
    "granian": "granian {app} --interface asgi --host 127.0.0.1 --port {port}",
}


class Running:
    """One host on one server, which may be stopped and started again on the same folder and port."""

    def __init__(self, host: str, server: str, folder: Path, *arguments: str) -> None:
        self.host = host
        self.server = server
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx2.Client | None = None
        (folder / "public.pem").write_text(keys(APP)[1])

    def launch(self) -> None:
        """Start it without waiting for it."""
        program, *arguments = COMMANDS[self.server].format(app="tests.integration.hosts.served:app", port=self.port).split()
        output = self.folder / "output.txt"
        environment = {**os.environ, "HOST": self.host, "HOST_FOLDER": str(self.folder), "PYTHONPATH": str(ROOT)}
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [str(BIN / program), *arguments, *self._arguments],
                env=environment,
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._client = httpx2.Client(base_url=self.url, trust_env=False, timeout=30)

    def wait(self) -> None:
        """Return when the host answers."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"It ended with {self._process.returncode}:\n{self.output()}"
            assert time.monotonic() < deadline, f"It did not start:\n{self.output()}"
            time.sleep(0.02)

    def _answers(self) -> bool:
        with suppress(httpx2.TransportError):
            return self.ask("GET", "/", None).status_code in (200, 404)
        return False

    def stop(self) -> int:
        """Ask it to end with SIGTERM, with a client's idle connection still open, and return its exit code."""
        assert self._process is not None
        try:
            self._process.send_signal(signal.SIGTERM)
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"It did not end:\n{self.output()}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """Leave nothing of it."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def notes(self) -> list[str]:
        """What its host and its storage noted down since the last look."""
        file = self.folder / "notes.txt"
        notes = file.read_text().splitlines()
        file.unlink()
        return notes

    def ask(self, method: str, path: str, who: str | None = "admin", **options: Any) -> httpx2.Response:
        """A request by an admin, a user, or nobody; ``path`` may also be a whole URL."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {token(APP) if who == 'admin' else token(APP, who)}"
        assert self._client is not None
        return self._client.request(method, path, headers=headers, **options)


@contextmanager
def running(host: str, server: str, folder: Path, *arguments: str) -> Iterator[Running]:
    """Launch a host on a server; at the end of the block nothing of it is left."""
    instance = Running(host, server, folder, *arguments)
    try:
        instance.launch()
        yield instance
    finally:
        instance.kill()
