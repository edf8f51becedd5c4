"""Functions that pages define for sync code and for test suites do what the pages say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.testclient import TestClient

from conversation_kit import ConversationKit, HostAuthenticator
from tests.integration.docs.repository import ROOT
from tests.support.snippets import functions

TESTING = ROOT / "docs" / "testing.md"
TESTS = [line.split("(")[0].split()[-1] for line in TESTING.read_text().splitlines() if line.startswith(("def test_", "async def test_"))]


@pytest.fixture
def sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return functions("sync.md")


def texts(sync: dict[str, Any], room: str) -> list[object]:
    async def read() -> list[object]:
        async with sync["kit"].lifespan():
            return [event.body["text"] for event in await sync["kit"].events.list(room)]

    return anyio.run(read)


def test_a_script_runs_one_async_function(sync: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    sync["script"]()
    assert texts(sync, capsys.readouterr().out.strip()) == ["We are open."]


def test_a_sync_endpoint_calls_the_kit_from_its_thread(sync: dict[str, Any]) -> None:
    with TestClient(sync["app"]) as client:
        room = client.post("/orders/17").json()["conversation"]
    assert texts(sync, room) == ["Thank you for your order."]


def test_a_sync_program_has_a_portal(sync: dict[str, Any]) -> None:
    assert texts(sync, sync["copy_lines"](["one", "two"])) == ["one", "two"]


def test_one_kit_serves_one_event_loop_after_the_other(sync: dict[str, Any]) -> None:
    first, second = (anyio.run(sync["announce"], name, name) for name in ("first", "second"))
    assert [texts(sync, room) for room in (first, second)] == [["first"], ["second"]]


def test_the_configuration_of_logging_sends_records_where_the_page_says(tmp_path: Path) -> None:
    code = """if True:
        import logging
        from tests.support.snippets import functions
        functions("logging.md")["configure"]()
        logging.getLogger("conversation_kit").warning("one")
        logging.getLogger("conversation_kit.refused").warning("two")
        logging.getLogger("uvicorn.error").info('127.0.0.1 - "WebSocket /beta/users/me/events?ticket=secret" [accepted]')
        logging.getLogger("uvicorn.error").info("GET /?ticket=secret")
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(" ")[2].partition(" ")[2] for line in done.stderr.splitlines()] == [
        "WARNING conversation_kit one",
        "INFO uvicorn.error GET /?ticket=...",
    ]
    assert (tmp_path / "refused.log").read_text().endswith("WARNING conversation_kit.refused two\n")


@pytest.mark.anyio
async def test_a_bot_answers_the_last_of_several_messages() -> None:
    page = functions("answers.md")
    kit, first, asked = page["kit"], anyio.Event(), []

    async def model(texts: list[str]) -> AsyncIterator[str]:
        asked.append(texts)
        if texts[-1] == "one":
            await first.wait()
        else:
            first.set()
        yield f"{len(texts)} lines"

    page["answer"].__globals__["model"] = model
    for name in ("ana", "bot"):
        await kit.users.create(name)
    room = (await kit.conversations.create()).id
    for name in ("ana", "bot"):
        await kit.members.join(room, user_name=name)
    with anyio.fail_after(30):
        async with kit.subscribe(room) as events:
            for number, text in enumerate(("one", "two"), start=1):
                await kit.as_user("ana").events.create(room, "text", {"text": text})
                while len(asked) < number:
                    await anyio.lowlevel.checkpoint()
            async for event in events:
                if event.type == "text" and "answer_to" in event.body:
                    break
    await kit.close()
    texts = [event.body["text"] for event in await kit.events.list(room) if event.type == "text"]
    assert texts == ["one", "two", "2 lines"]


@pytest.mark.anyio
async def test_a_refusal_is_logged_as_the_page_shows(caplog: pytest.LogCaptureFixture) -> None:
    kit = ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: "ana", create_users=True))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=kit), base_url="http://localhost") as client:
        assert (await client.get("/conversations")).status_code == 403
    (record,) = [record for record in caplog.records if record.name == "conversation_kit.refused"]
    assert f"{record.levelname} {record.name} {record.getMessage()}" in (ROOT / "docs" / "logging.md").read_text()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", TESTS)
def test_the_tests_that_the_page_shows_pass(name: str, backend: str) -> None:
    function: Callable[[], object] = functions("testing.md")[name]
    if iscoroutinefunction(function):
        anyio.run(cast(Callable[[], Coroutine[Any, Any, None]], function), backend=backend)
    elif backend == "asyncio":
        function()
