"""What the demo's pages ask of their host, and what others might."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.pages.demo import Demo, running_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def post(demo: Demo, path: str, who: str | None = None, **options: Any) -> httpx2.Response:
    headers = dict(demo.api(who).headers) if who else {}
    return httpx2.post(f"{demo.url}{path}", headers={"Authorization": headers.get("authorization", "")}, trust_env=False, **options)


@pytest.mark.parametrize("path", ["/", "/pair", "/chat", "/operator", "/static/chat.js", "/static/base.css", "/static/icon.svg"])
def test_pages_take_nothing_from_others_and_hold_no_secret(demo: Demo, path: str) -> None:
    answer = httpx2.get(demo.url + path, trust_env=False)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?! type=\"module\" src=\"static/)|<style|\son\w+=|https?://(?!www\.w3\.org/)", answer.text)
    assert not [link for link in demo.links.values() if link.partition("#")[2] in answer.text]


@pytest.mark.parametrize("path", ["/static/", "/static/../host.py", "/static/%2e%2e%2fhost.py", "/static/host.py", "/static/.", "/nothing"])
def test_only_the_pages_files_are_served(demo: Demo, path: str) -> None:
    assert httpx2.get(demo.url + path, trust_env=False).status_code == 404


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
def test_a_session_needs_a_key(demo: Demo, body: bytes, status: int) -> None:
    answer = post(demo, "/demo/session", content=body)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert answer.headers["cache-control"] == "no-store"


def test_keys_outlive_the_process_and_differ_from_demo_to_demo(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> None:
    links, room = dict(demo.links), demo.room
    demo.terminate()
    demo.start()
    assert (demo.links, demo.room) == (links, room)
    assert len({link.partition("#")[2] for link in (*links.values(), demo.home)}) == 5
    with running_demo(tmp_path_factory.mktemp("other")) as other:
        assert not {link.partition("#")[2] for link in other.links.values()} & {link.partition("#")[2] for link in links.values()}


def test_calls_are_for_people_who_are_joined(demo: Demo) -> None:
    call = {"conversation_id": demo.room}
    assert post(demo, "/demo/calls", json=call).status_code == 401
    assert post(demo, "/demo/calls", "The operator", json=call).status_code == 403
    assert post(demo, "/demo/calls", "Cy", json=call).status_code == 404
    assert post(demo, "/demo/calls", "Ana", json={"conversation_id": "CON-none"}).status_code == 404
    assert post(demo, "/demo/calls", "Ana", json={}).status_code == 400
    with demo.api("Ana") as ana:
        alone = ana.post("/conversations").json()["id"]
        assert post(demo, "/demo/calls", "Ana", json={"conversation_id": alone}).json()["code"] == "event:error:not-joined"
        ana.post(f"/conversations/{alone}/members", json={"action": "join", "user_name": "ana"})
    assert post(demo, "/demo/calls", "Ana", json={"conversation_id": alone}).json()["code"] == "demo:error:nobody"

    called = post(demo, "/demo/calls", "Ana", json=call)
    assert called.status_code == 200
    (leg,) = called.json()["leg_ids"]
    assert post(demo, "/demo/calls", "Bo", json=call).json()["code"] == "demo:error:busy"
    for who, status, expected in (
        ("Cy", "completed", 404),
        ("Ana", "answered", 403),
        ("Bo", "cancelled", 403),
        ("Bo", "nonsense", 400),
        ("Bo", "answered", 200),
        ("Bo", "answered", 400),
        ("Ana", "completed", 200),
        ("Ana", "completed", 404),
    ):
        answer = post(demo, f"/demo/legs/{leg}", who, json={"status": status})
        assert answer.status_code == expected, (who, status, answer.text)
    assert post(demo, "/demo/legs/nothing%2f%00", "Ana", json={"status": "completed"}).status_code == 404
