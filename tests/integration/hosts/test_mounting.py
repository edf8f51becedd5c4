"""Where the kit finds itself in a host: paths below every kind of mount, and hrefs that lead back through it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from conversation_kit import ConversationKit
from conversation_kit.http.serving.mounting import ASGIApp
from tests.integration.hosts.hosts import (
    HOSTS,
    client_of,
    like_hypercorn,
    like_uvicorn,
    mounted,
    own,
    raw,
    unknown_to_the_server,
    wrapped,
    wrapped_raw,
)
from tests.integration.hosts.hrefs import check_hrefs
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio

Host = Callable[[ConversationKit], ASGIApp]
Proxy = Callable[[ASGIApp, str], ASGIApp]
any_host = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)


@any_host
async def test_hrefs_lead_back(host: Host) -> None:
    async with client_of(host(make_kit())) as client:
        await check_hrefs(client, "http://host.test/beta")


@any_host
@pytest.mark.parametrize(
    ("proxy", "prefix"),
    [
        (like_uvicorn, "/site"),
        (like_uvicorn, "/a/b"),
        # The mount's own name. With it, nobody could tell on Hypercorn what is stripped from what is mounted.
        (like_uvicorn, "/beta"),
        (like_hypercorn, "/site"),
        (like_hypercorn, "/a/b"),
    ],
)
async def test_hrefs_lead_back_through_a_proxy_that_strips_a_prefix(host: Host, proxy: Proxy, prefix: str) -> None:
    async with client_of(proxy(host(make_kit()), prefix)) as client:
        await check_hrefs(client, f"http://host.test{prefix}/beta")
        assert (await client.get(f"{prefix}/betamax")).status_code == 200


@any_host
async def test_a_public_url_replaces_what_the_server_cannot_know(host: Host) -> None:
    kit = make_kit(public_url="https://chat.example/site/beta/")
    async with client_of(unknown_to_the_server(host(kit), "/site"), headers={"Host": "evil.example"}) as client:
        made = await client.post("/site/beta/conversations")
        assert made.json()["href"] == f"https://chat.example/site/beta/conversations/{made.json()['id']}"
        index = (await client.get("/site/beta/")).json()
        assert index["_links"]["self"]["href"] == "https://chat.example/site/beta"
        assert (await client.get("/site/beta/openapi.json")).json()["servers"] == [{"url": "https://chat.example/site/beta"}]


@pytest.mark.parametrize("root_path", ["", "/site"])
@pytest.mark.parametrize("outer", ["/v2", "/tenant-1/x"])
async def test_mounts_in_mounts(root_path: str, outer: str) -> None:
    inner = Starlette(routes=[Mount("/chat", app=make_kit(), name="chat")])
    app = Starlette(routes=[Mount("/v2", app=inner), Mount("/{tenant}/x", app=inner)])
    async with client_of(like_uvicorn(app, root_path)) as client:
        await check_hrefs(client, f"http://host.test{root_path}{outer}/chat")


async def test_a_middleware_in_a_mount_and_a_prefix_of_several_segments() -> None:
    app = Starlette(routes=[Mount("/outer", app=make_kit().middleware(raw, "api/chat/"))])
    async with client_of(app) as client:
        await check_hrefs(client, "http://host.test/outer/api/chat")
        assert (await client.get("/outer/api")).status_code == 404
        assert (await client.get("/outer/betamax")).text == "the host's /outer/betamax"


async def test_the_kit_alone_at_the_root() -> None:
    async with client_of(make_kit()) as client:
        await check_hrefs(client, "http://host.test")
    async with client_of(like_uvicorn(make_kit(), "/site")) as client:
        await check_hrefs(client, "http://host.test/site")


async def test_odd_mount_paths_are_quoted_in_hrefs() -> None:
    app = Starlette(routes=[Mount("/Grüße & co", app=make_kit())])
    async with client_of(app) as client:
        await check_hrefs(client, "http://host.test/Gr%C3%BC%C3%9Fe%20%26%20co")


@any_host
async def test_what_only_looks_like_the_mount_is_the_hosts(host: Host) -> None:
    async with client_of(host(make_kit())) as client:
        assert (await client.get("/betamax")).text == "the host's /betamax"
        for path in ("/bet", "/Beta/conversations", "/betamaxx", "/x/beta/conversations", "//beta/conversations"):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            assert answer.headers.get("content-type") != "application/json" or answer.json() == {"detail": "Not Found"}


@pytest.mark.parametrize("host", [wrapped, wrapped_raw], ids=lambda host: host.__name__)
async def test_the_middlewares_mount_answers_with_and_without_a_slash(host: Host) -> None:
    async with client_of(host(make_kit())) as client:
        for path in ("/beta", "/beta/"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.json()["_links"]["self"]["href"] == "http://host.test/beta"


@any_host
async def test_paths_below_the_mount_are_never_redirected(host: Host) -> None:
    async with client_of(host(make_kit())) as client:
        assert (await client.get("/beta/")).status_code == 200
        for path in ("/beta/conversations/", "/beta//conversations", "/beta/conversations/x/"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert answer.json()["code"] == "http:error:not-found"


@any_host
async def test_errors_of_the_kit_are_json_in_every_host(host: Host) -> None:
    async with client_of(host(make_kit())) as client:
        cases: list[tuple[str, str, dict[str, Any], int]] = [
            ("GET", "/beta/nothing", {}, 404),
            ("DELETE", "/beta/conversations", {}, 405),
            ("GET", "/beta/conversations", {"headers": {"Authorization": "Bearer x"}}, 401),
            ("POST", "/beta/conversations", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
            ("POST", "/beta/conversations", {"content": b"x=1", "headers": {"Content-Type": "text/plain"}}, 415),
            ("POST", "/beta/conversations", {"content": b" " * 2**21}, 413),
        ]
        for method, path, options, status in cases:
            answer = await client.request(method, path, **options)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), path
            assert answer.json()["status"] == status


@pytest.mark.parametrize("given", ["evil.example", "evil.example:81", "[::1]:8000", "127.0.0.1", "xn--e1afmkfd.example"])
async def test_a_host_header_that_is_one_is_believed(given: str) -> None:
    async with client_of(mounted(make_kit()), headers={"Host": given}) as client:
        made = (await client.post("http://host.test/beta/conversations")).json()
        assert made["href"] == f"http://{given}/beta/conversations/{made['id']}"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"a b",
        b'"><script>alert(1)</script>',
        b"evil.example/path",
        b"user@evil.example",
        b"host:123456",
        b"host:x",
        b"h\xc3\xb6st",
        b"a\\b",
        b"host\n",
        b"h" * 301,
        b"[::1",
    ],
)
@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (("10.0.0.1", 8000), "http://10.0.0.1:8000/beta"),
        (("::1", 8000), "http://[::1]:8000/beta"),
        (("/run/app.sock", None), "http://localhost/beta"),
        (None, "http://localhost/beta"),
    ],
)
async def test_a_host_header_that_is_none_is_not_repeated(garbage: bytes, server: Any, expected: str) -> None:
    assert await _base_of({"headers": [(b"host", garbage)], "server": server, "root_path": "/beta", "path": "/beta/"}) == expected


async def test_a_scope_with_nothing_optional_in_it() -> None:
    assert await _base_of({"headers": [], "path": "/"}) == "http://localhost"


async def _base_of(scope: dict[str, Any]) -> str:
    """What the index says that its own address is."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise NotImplementedError

    await make_kit()({"type": "http", "method": "GET", **scope}, receive, send)
    base: str = json.loads(sent[1]["body"])["_links"]["self"]["href"]
    return base


async def test_https_is_kept() -> None:
    async with client_of(mounted(make_kit())) as client:
        made = (await client.post("https://host.test/beta/conversations")).json()
        assert made["href"].startswith("https://host.test/beta/")


@pytest.mark.parametrize("wrap", [True, False])
async def test_below_the_hosts_own_middlewares(*, wrap: bool) -> None:
    class Stamp(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            response.headers["X-Stamp"] = "yes"
            return response

    kit = make_kit()
    middleware = [
        Middleware(Stamp),
        Middleware(GZipMiddleware, minimum_size=100),
        Middleware(CORSMiddleware, allow_origins=["https://front.example"], allow_methods=["*"], allow_headers=["*"]),
    ]
    app: ASGIApp
    if wrap:
        # Around everything but the kit, which the host's middlewares do not see.
        app = kit.middleware(Starlette(routes=[Route("/betamax", own)], middleware=middleware), "/beta")
    else:
        app = Starlette(routes=[Route("/betamax", own), Mount("/beta", app=kit)], middleware=middleware)
    async with client_of(app, headers={"Origin": "https://front.example"}) as client:
        await check_hrefs(client, "http://host.test/beta")
        document = await client.get("/beta/openapi.json")
        assert document.json()["openapi"].startswith("3.")
        assert document.headers.get("content-encoding") == (None if wrap else "gzip")
        answer = await client.get("/beta/nothing")
        assert answer.json()["code"] == "http:error:not-found"
        assert answer.headers.get("x-stamp") == (None if wrap else "yes")
        assert answer.headers.get("access-control-allow-origin") == (None if wrap else "https://front.example")
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        if not wrap:
            assert (await client.options("/beta/conversations", headers=asked)).status_code == 200
        body = b" " * 70_000 + b'{"name": "large"}'
        made = await client.post("/beta/conversations", content=body, headers={"Content-Type": "application/json"})
        assert (await client.get(made.json()["href"])).json()["name"] == "large"


@any_host
async def test_many_at_once_find_an_unopened_storage(host: Host) -> None:
    async with client_of(host(make_kit())) as client, anyio.create_task_group() as group:

        async def post() -> None:
            assert (await client.post("/beta/conversations")).status_code == 200

        for _ in range(20):
            group.start_soon(post)


@pytest.mark.parametrize("path", ["/beta", "/beta/", "/beta/conversations"])
@any_host
async def test_websockets_are_refused_cleanly(host: Host, path: str) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "ws",
        "headers": [],
        "query_string": b"",
    }
    await host(make_kit())(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_prefix_at_the_root_leaves_the_host_nothing() -> None:
    async with client_of(make_kit().middleware(raw, "/")) as client:
        await check_hrefs(client, "http://host.test")
        assert (await client.get("/betamax")).json()["code"] == "http:error:not-found"
