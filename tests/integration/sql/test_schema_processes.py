"""Processes that start at once make or change the tables one after another."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from conversation_kit import Migration, StorageUnavailable
from conversation_kit_sql import SCHEMA_VERSION, SQLStorage, migrate
from conversation_kit_sql.database.dialects import mysql
from conversation_kit_sql.schema.lock import alone
from conversation_kit_sql.schema.version_table import VersionTable
from tests.integration.sql import stored
from tests.integration.sql.connected import PREFIX, connected
from tests.integration.sql.revisions import NEXT, next_release
from tests.support.databases import SQL, fresh
from tests.support.processes import DEADLINE, poll

pytestmark = pytest.mark.anyio
PROCESSES = 3
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
    # Some versions of SQLite warn, and are right: tests/integration/sql/test_sharing.py is about that.
    assert [line for _, errors in told for line in errors.splitlines() if "WAL-reset" not in line] == []
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


def test_on_mariadb_the_next_one_sees_what_the_last_one_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the lock does not end with the transaction."""
    monkeypatch.setattr(mysql, "WAIT_SECONDS", 0)
    with fresh("mariadb", tmp_path) as url, connected(url) as one, connected(url) as other:
        with alone(one, PREFIX, None):
            with pytest.raises(StorageUnavailable, match="Another process"):
                migrate(other)
            migrate(other, prefix="other_")
        migrate(one)
        assert VersionTable(PREFIX).read(other) == SCHEMA_VERSION
        assert migrate(other) == Migration(SCHEMA_VERSION, SCHEMA_VERSION)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_on_postgresql_the_next_one_sees_what_the_last_one_wrote(tmp_path: Path, level: str) -> None:
    """However a host's engine isolates transactions: what counts is what is there after the wait for the lock."""
    waiting = text("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = :pid")
    with fresh("postgresql", tmp_path) as url:
        engine = create_engine(url, isolation_level=level)
        with engine.connect() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()  # the pool's only connection, so also the storage's
        done: list[Migration] = []
        thread = threading.Thread(target=lambda: done.append(anyio.run(SQLStorage(engine).migrate)))
        with create_engine(url, poolclass=NullPool).connect() as first:
            migrate(first)
            thread.start()
            with connected(url) as looking:
                poll(lambda: looking.execute(waiting, {"pid": pid}).first())
            first.commit()
        thread.join()
        engine.dispose()
        assert done == [Migration(SCHEMA_VERSION, SCHEMA_VERSION)]
