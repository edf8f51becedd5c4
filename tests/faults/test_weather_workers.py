"""Worker processes that die while the database is away: the server goes on, and so do their successors once it is back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx2
import pytest

from tests.faults.weather import SERVERS, behind_proxy
from tests.support.processes import poll, serve
from tests.support.world import APP, keys, token

HEADERS = {"Authorization": f"Bearer {token(APP)}"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_worker_that_dies_while_the_database_is_away_does_not_end_the_server(kind: str, tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    with behind_proxy(kind, tmp_path) as (url, proxy):
        arguments = ["--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", url]
        with serve(tmp_path, *arguments, workers=2, headers=HEADERS) as server:
            proxy.down()
            os.kill(server.workers[0], signal.SIGKILL)
            server.wait_for("Application startup complete", 3)
            assert "the storage cannot be opened now" in server.text()
            for other in server.workers[1:]:
                os.kill(other, signal.SIGSTOP)  # so that the new one answers
            try:
                path = f"{server.url}/beta/users"
                assert httpx2.get(path, headers=HEADERS, trust_env=False, timeout=60).status_code == 503
                proxy.up()
                poll(lambda: httpx2.get(path, headers=HEADERS, trust_env=False, timeout=60).status_code == 200 or None)
            finally:
                for other in server.workers[1:]:
                    os.kill(other, signal.SIGCONT)
            assert server.process.poll() is None
            assert server.terminate() in (0, -signal.SIGTERM)


def test_a_server_starts_while_its_database_is_away_and_answers_once_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    with behind_proxy("postgresql", tmp_path) as (url, proxy):
        proxy.down()
        with serve(tmp_path, "--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", url, headers=HEADERS) as server:
            assert "the storage cannot be opened now" in server.text()
            proxy.up()
            path = f"{server.url}/beta/users"
            poll(lambda: httpx2.get(path, headers=HEADERS, trust_env=False, timeout=60).status_code == 200 or None)
