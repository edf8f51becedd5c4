"""Litestar's own mount, which hands on other paths than the rest."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from litestar import Litestar, asgi, get
from starlette.testclient import TestClient

from conversation_kit import ConversationKit
from tests.integration.hosts.hosts import ADMIN, like_hypercorn, like_uvicorn
from tests.integration.hosts.hrefs import check_hrefs
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio


@get("/", sync_to_thread=False)
def home() -> str:
    return "the host's /"


def host(kit: ConversationKit, path: str = "/beta") -> Any:
    return Litestar([home, asgi(path, is_mount=True, copy_scope=True)(kit)], lifespan=[kit.lifespan], logging_config=None)


def client_of(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://host.test", headers=ADMIN, follow_redirects=True)


@pytest.mark.parametrize("path", ["/beta", "/deep/er/beta"])
async def test_hrefs_lead_back(path: str) -> None:
    async with client_of(host(make_kit(), path)) as client:
        await check_hrefs(client, f"http://host.test{path}")
        for index in (path, f"{path}/"):
            assert (await client.get(index)).json()["_links"]["self"]["href"] == f"http://host.test{path}"
        assert (await client.get("/")).text == "the host's /"


@pytest.mark.parametrize("proxy", [like_uvicorn, like_hypercorn])
async def test_behind_a_proxy_that_strips_a_prefix(proxy: Any) -> None:
    async with client_of(proxy(host(make_kit()), "/site")) as client:
        await check_hrefs(client, "http://host.test/site/beta")


async def test_what_is_not_there_is_told_by_the_kit() -> None:
    async with client_of(host(make_kit())) as client:
        for path in ("/betamax", "/beta/nothing", "/beta//users", "/beta/beta/users", "/beta/users/a%2Fb", "/beta/conversations/"):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            assert answer.json()["code"] in ("http:error:not-found", "user:error:not-found"), path


async def test_the_middleware_leaves_the_host_its_own() -> None:
    kit = make_kit()
    async with client_of(kit.middleware(Litestar([home], logging_config=None), "/beta")) as client:
        await check_hrefs(client, "http://host.test/beta")
        assert (await client.get("/")).text == "the host's /"


def test_web_sockets_find_their_place_too() -> None:
    kit = make_kit()
    app: Any = host(kit)
    with TestClient(app, headers=ADMIN) as client:
        client.post("/beta/users", json={"name": "ana"})
        room = client.post("/beta/conversations", json={}).json()["id"]
        with client.websocket_connect(f"/beta/conversations/{room}/events") as socket:
            client.put(f"/beta/conversations/{room}", json={"display_name": "x"})
            assert set(socket.receive_json()) == {"cursor"}
            assert socket.receive_json()["type"] == "conversation:updated"
