"""Processes that start at once make or change the tables one after another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from conversation_kit import Migration
from conversation_kit_sql import SCHEMA_VERSION, SQLStorage
from tests.adapters import stored
from tests.adapters.revisions import NEXT, next_release
from tests.adapters.test_migrations import PREFIX, connected
from tests.databases import SQL, fresh
from tests.processes import DEADLINE

pytestmark = pytest.mark.anyio
PROCESSES = 4
CODE = """
import sys
import anyio
from conversation_kit import ConfigurationError
from conversation_kit_sql import SQLStorage
{more}

async def main():
    storage = SQLStorage({url!r}, busy_seconds=30)
    print("ready", flush=True)
    sys.stdin.readline()
    {work}

anyio.run(main)
"""


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh(request.param, tmp_path) as url:
        yield url


def at_once(url: str, work: str, more: str = "") -> Sequence[str]:
    """What processes that begin to work at the same moment print."""
    code = CODE.format(url=url, work=work, more=more)
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=DEADLINE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [error for _, error in told] == [""] * PROCESSES
    return [out.strip() for out, _ in told]


def test_opening_an_empty_database(url: str) -> None:
    assert at_once(url, "await storage.open(); await storage.close(); print('opened')") == ["opened"] * PROCESSES


def test_migrating_an_empty_database(url: str) -> None:
    told = at_once(url, "print((await storage.migrate()).before)")
    assert sorted(told) == ["None"] + [SCHEMA_VERSION] * (PROCESSES - 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_migrating_a_database_with_data(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = SQLStorage(url)
    await storage.migrate()
    with connected(url) as connection:
        stored.fill(connection, PREFIX)
    release = next_release(tmp_path)
    told = at_once(url, "print((await storage.migrate()).before)", more=release.code)
    assert sorted(told) == [SCHEMA_VERSION] + [NEXT] * (PROCESSES - 1)
    release.install(monkeypatch)
    assert await storage.migrate() == Migration(NEXT, NEXT)
    await storage.open()
    try:
        await stored.check(storage)
    finally:
        await storage.close()
