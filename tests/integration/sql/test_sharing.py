"""The warning for several processes on one SQLite file, where SQLite may lose what they write."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from sqlalchemy import create_engine

from conversation_kit_sql import SQLStorage
from conversation_kit_sql.database import sharing
from tests.support.processes import serve
from tests.support.sql_probes import files_recorded
from tests.support.world import APP, keys

HOLDER = """
import sys, anyio
from conversation_kit_sql import SQLStorage

async def main():
    await SQLStorage(sys.argv[1]).open()
    print("open", flush=True)
    sys.stdin.read()

anyio.run(main)
"""


@contextmanager
def another_process(url: str) -> Iterator[subprocess.Popen[str]]:
    """One that has the database open."""
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


async def open_and_close(storage: SQLStorage) -> None:
    await storage.open()
    await storage.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    return found


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_versions_with_the_bug_are_known(version: tuple[int, ...], affected: bool) -> None:
    assert sharing.is_affected(version) is affected


def test_a_second_process_warns_until_the_first_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 51, 2))
    with another_process(url) as other:
        anyio.run(open_and_close, SQLStorage(url))
        (told,) = warnings(caplog)
        assert f"{tmp_path}/chat.db" in told
        assert "PostgreSQL" in told
        anyio.run(open_and_close, SQLStorage(create_engine(url)))  # a host's engine on the same file
        assert len(warnings(caplog)) == 1
        monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 51, 3))
        anyio.run(open_and_close, SQLStorage(url))
        assert warnings(caplog) == []
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 51, 2))
        anyio.run(open_and_close, SQLStorage(url))
        assert warnings(caplog) == []


def test_a_process_alone_does_not_warn(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 51, 2))

    async def use() -> None:
        one, other = SQLStorage(url), SQLStorage(url, prefix="other_")
        for _ in range(2):
            await one.open()
            await other.open()
            await one.close()
            await other.close()
        await SQLStorage("sqlite://").open()

    anyio.run(use)
    assert warnings(caplog) == []
    assert (tmp_path / f"chat.db{sharing.SUFFIX}").stat().st_size == 0
    assert files_recorded() == 0


@pytest.mark.skipif(not sharing.is_affected(sqlite3.sqlite_version_info), reason="this SQLite has no such bug")
def test_a_server_with_two_workers_says_so_at_its_start_and_one_with_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    arguments = ("--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", f"sqlite:///{tmp_path}/chat.db")
    with serve(tmp_path, *arguments) as server:
        assert "WAL-reset" not in server.text()
    with serve(tmp_path, *arguments, workers=2) as server:
        server.wait_for("WAL-reset")
