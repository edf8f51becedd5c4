"""What the demo's pages ask of their host, and what others might."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from conversation_kit.cli.keygen import write_key_pair
from conversation_kit.demo import make_demo
from tests.browser.demo import Printed, running_demo

pytestmark = pytest.mark.anyio
URL = "http://demo.example"


class Desk:
    """The demo's host in this process, and those who ask it."""

    def __init__(self, client: httpx2.AsyncClient, printed: Printed) -> None:
        self.client = client
        self.printed = printed

    async def headers(self, who: str | None) -> dict[str, str]:
        if who is None:
            return {}
        session = await self.client.post("/demo/session", json={"key": self.printed.key(who)})
        return {"Authorization": f"Bearer {session.json()['token']}"}

    async def post(self, path: str, body: Mapping[str, Any], who: str | None = None) -> httpx2.Response:
        return await self.client.post(path, json=body, headers=await self.headers(who))


@pytest.fixture
async def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Desk]:
    write_key_pair(tmp_path)
    app = make_demo(tmp_path, URL)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=URL) as client:
        yield Desk(client, Printed.read(capsys.readouterr().out))


@pytest.mark.parametrize("path", ["/", "/pair", "/chat", "/operator", "/static/chat.js", "/static/base.css", "/static/icon.svg"])
async def test_pages_take_nothing_from_others_and_hold_no_secret(desk: Desk, path: str) -> None:
    answer = await desk.client.get(path)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?! type=\"module\" src=\"static/)|<style|\son\w+=|https?://(?!www\.w3\.org/)", answer.text)
    assert not [who for who in desk.printed.links if desk.printed.key(who) in answer.text]


async def test_a_page_is_found_by_its_path_whatever_the_host_header_says(desk: Desk) -> None:
    # Starlette before 1.0.1 makes the URL of a request out of this header as it comes.
    answer = await desk.client.get("/chat", headers={"Host": "demo.example/operator?"})
    assert (answer.status_code, answer.text) == (200, (await desk.client.get("/chat")).text)


@pytest.mark.parametrize("path", ["/static/", "/static/../host.py", "/static/%2e%2e%2fhost.py", "/static/host.py", "/static/.", "/nothing"])
async def test_only_the_pages_files_are_served(desk: Desk, path: str) -> None:
    assert (await desk.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"{}", 400),
        (b'{"key": 7}', 400),
        (b'{"key": "\xff"}', 400),
        (b'{"key": "\\ud800"}', 400),
        (b'{"key": "ana"}', 401),
        (b'{"key": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
async def test_a_session_needs_a_key(desk: Desk, body: bytes, status: int) -> None:
    answer = await desk.client.post("/demo/session", content=body)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert answer.headers["cache-control"] == "no-store"


async def test_calls_are_for_people_who_are_joined(desk: Desk) -> None:
    call = {"conversation_id": desk.printed.room}
    assert (await desk.post("/demo/calls", call)).status_code == 401
    assert (await desk.post("/demo/calls", call, "The operator")).status_code == 403
    assert (await desk.post("/demo/calls", call, "Cy")).status_code == 404
    assert (await desk.post("/demo/calls", {"conversation_id": "CON-none"}, "Ana")).status_code == 404
    assert (await desk.post("/demo/calls", {}, "Ana")).status_code == 400

    alone = {"conversation_id": (await desk.post("/beta/conversations", {}, "Ana")).json()["id"]}
    assert (await desk.post("/demo/calls", alone, "Ana")).json()["code"] == "event:error:not-joined"
    await desk.post(f"/beta/conversations/{alone['conversation_id']}/members", {"action": "join", "user_name": "ana"}, "Ana")
    assert (await desk.post("/demo/calls", alone, "Ana")).json()["code"] == "demo:error:nobody"

    called = await desk.post("/demo/calls", call, "Ana")
    assert called.status_code == 200
    (leg,) = called.json()["leg_ids"]
    assert (await desk.post("/demo/calls", call, "Bo")).json()["code"] == "demo:error:busy"
    for who, status, expected in (
        ("Cy", "completed", 404),
        ("Ana", "answered", 403),
        ("Bo", "cancelled", 403),
        ("Bo", "nonsense", 400),
        ("Bo", "answered", 200),
        ("Bo", "answered", 200),  # a repeat
        ("Ana", "completed", 200),
        ("Ana", "completed", 404),
    ):
        answer = await desk.post(f"/demo/legs/{leg}", {"status": status}, who)
        assert answer.status_code == expected, (who, status, answer.text)
    assert (await desk.post("/demo/legs/nothing%2f%00", {"status": "completed"}, "Ana")).status_code == 404


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_keys_outlive_the_process_and_differ_from_demo_to_demo(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with running_demo(tmp_path / "one") as one, running_demo(tmp_path / "other") as other:
        before = one.printed
        one.terminate()
        one.start()
        assert one.printed == before
        keys = [{link.partition("#")[2] for link in (*printed.links.values(), printed.home)} for printed in (before, other.printed)]
        assert [len(some) for some in keys] == [5, 5]
        assert not keys[0] & keys[1]
