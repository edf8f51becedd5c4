"""The page of the documentation in a real browser."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversation_kit.http.beta.api import EXTENSIONS, OPERATIONS
from tests.integration.hosts.servers import Running, running
from tests.support.browsers import ARGUMENTS, chromium


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("starlette", "uvicorn", tmp_path_factory.mktemp("docs")) as instance:
        instance.wait()
        yield instance


def test_every_operation_is_shown_and_nothing_is_asked_of_others(served: Running, tmp_path: Path) -> None:
    net_log = tmp_path / "net.json"
    command = [
        chromium(),
        "--headless",
        *ARGUMENTS,
        # The browser's own calls home go nowhere either.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--log-net-log={net_log}",
        "--enable-logging=stderr",
        "--virtual-time-budget=8000",
        "--dump-dom",
        f"{served.url}/beta/docs",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

    for operation in (*OPERATIONS, *EXTENSIONS):
        assert f'data-path="{operation.path}"' in done.stdout
        assert f">{operation.id}<" in done.stdout
    assert done.stdout.count('class="opblock-summary-path"') == len(OPERATIONS) + len(EXTENSIONS)

    # What the policy had refused would be in the console.
    assert "Content Security Policy" not in done.stderr
    asked = requests_of_pages(net_log)
    assert f"{served.url}/beta/openapi.json" in asked
    assert [url for url in asked if not url.startswith((served.url + "/", "data:"))] == []


def requests_of_pages(net_log: Path) -> list[str]:
    """The URLs that a page asked for; what the browser does on its own account has no initiator."""
    log = json.loads(net_log.read_text())
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    starts = [event["params"] for event in log["events"] if event["type"] == start and "params" in event]
    return [request["url"] for request in starts if request.get("initiator", "not an origin") != "not an origin"]
