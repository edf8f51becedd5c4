"""A process that was forked off another one shares no connection with it, whatever the other one did with its kit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.integration.forks.forking import CHILDREN, WHISPERS
from tests.support import brokers
from tests.support.databases import SQL, fresh
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("source", "backend"), [("url", "asyncio"), ("url", "trio"), ("engine", "asyncio")])
@pytest.mark.parametrize("kind", SQL)
def test_processes_find_what_they_have_written_though_the_kit_was_used_before_they_were_forked(
    kind: str, source: str, backend: str, tmp_path: Path
) -> None:
    with fresh(kind, tmp_path) as url:
        command = [sys.executable, "-m", "tests.integration.forks.forking", source, url, backend]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    faults, ephemeral = json.loads(done.stdout)
    assert faults == []
    assert len(set(ephemeral)) == len(ephemeral) == (CHILDREN + 3) * WHISPERS
    # A warning about SQLite's own fault is none about the fork.
    assert [line for line in done.stderr.splitlines() if "WAL-reset bug" not in line] == []


@pytest.fixture
def preloaded(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """gunicorn with three workers that have the master's kit."""
    port, output = free_port(), tmp_path / "output.txt"
    with fresh("postgresql", tmp_path) as storage:
        environment = {**os.environ, "STORAGE": storage, "BROKER": brokers.url_of("redis")}
        arguments = [
            "tests.integration.forks.preloaded:app",
            "--preload",
            "-w",
            "3",
            "-k",
            "uvicorn_worker.UvicornWorker",
            "-b",
            f"127.0.0.1:{port}",
        ]
        with output.open("wb") as file:
            master = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        try:
            while output.read_text().count("Application startup complete") < 3:
                assert master.poll() is None, output.read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/beta", output
            master.terminate()
            assert master.wait(60) == 0, output.read_text()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(master.pid, signal.SIGKILL)
            master.wait()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_workers_of_gunicorn_that_are_forked_from_a_used_kit_answer_what_they_were_asked(preloaded: tuple[str, Path]) -> None:
    url, output = preloaded
    found: dict[str, str] = {}

    async def one(name: str) -> None:
        # Each has a connection of its own, which any of the workers may accept.
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            made = await client.post(f"{url}/conversations", json={"name": name})
            assert made.status_code == 200, made.text
            found[name] = (await client.get(made.json()["href"])).json()["name"]

    for first in range(0, 60, 20):
        async with anyio.create_task_group() as group:
            for number in range(first, first + 20):
                group.start_soon(one, f"room-{number}")
    assert found == {name: name for name in found}
    assert len(found) == 60
    assert "Traceback" not in output.read_text()
