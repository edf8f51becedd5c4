"""Bodies that do not arrive, or slowly."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from conversation_kit.http.serving import request
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


async def post(world: World, receive: Any, **scope: Any) -> list[Any]:
    """What the kit sends on a POST whose body comes from ``receive``."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {world.token('admin')}".encode()), (b"content-type", b"application/json")]
    request = {"type": "http", "method": "POST", "path": "/conversations", "headers": headers, "query_string": b"", **scope}
    with anyio.fail_after(30):
        await world.kit(request, receive, send)
    return sent


@pytest.mark.parametrize("begun", [False, True], ids=["nothing", "half"])
@pytest.mark.parametrize(("version", "closes"), [("1.1", True), ("2", False)])
async def test_a_body_that_never_ends_is_answered(begun: bool, version: str, closes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "BODY_SECONDS", 0.05)
    pieces = [{"type": "http.request", "body": b'{"na', "more_body": True}] if begun else []

    async def receive() -> Any:
        if pieces:
            return pieces.pop()
        return await anyio.sleep_forever()

    async with open_world(populate=False) as world:
        sent = await post(world, receive, http_version=version)
        assert sent[0]["status"] == 408
        assert b"http:error:request-timeout" in sent[1]["body"]
        assert ((b"connection", b"close") in sent[0]["headers"]) is closes
        assert (await world.kit.conversations.list()).total == 0


async def test_a_trickle_does_not_prolong_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "BODY_SECONDS", 0.1)

    async def receive() -> Any:
        await anyio.sleep(0.005)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async with open_world(populate=False) as world:
        assert (await post(world, receive))[0]["status"] == 408


async def test_a_body_may_come_in_pieces_and_late() -> None:
    pieces = [b'{"name"', b': "late', b'r"}']

    async def receive() -> Any:
        await anyio.sleep(0.001)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async with open_world(populate=False) as world:
        assert (await post(world, receive))[0]["status"] == 200
        assert [one.name for one in (await world.kit.conversations.list()).items] == ["later"]


async def test_an_error_of_the_server_while_it_receives_is_not_swallowed() -> None:
    async def receive() -> Any:
        await anyio.lowlevel.checkpoint()
        raise OSError("gone")

    async with open_world(populate=False) as world:
        assert (await post(world, receive))[0]["status"] == 500
