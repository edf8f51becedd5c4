"""Hosts of this process, and what stands in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from conversation_kit import ConversationKit, MemoryStorage
from conversation_kit.http.serving.mounting import ASGIApp, Receive, Scope, Send
from tests.support.world import APP, make_kit, token

ADMIN = {"Authorization": f"Bearer {token(APP)}"}


class NotingStorage(MemoryStorage):
    """Notes in a list when it is opened and closed; cannot be opened while ``broken`` is an error."""

    def __init__(self, notes: list[str] | None = None, broken: Exception | None = None) -> None:
        super().__init__()
        self.notes = [] if notes is None else notes
        self.broken = broken

    async def open(self) -> None:
        if self.broken is not None:
            raise self.broken
        self.notes.append("kit started")

    async def close(self) -> None:
        self.notes.append("kit stopped")


def noting_kit(notes: list[str], broken: Exception | None = None, **options: Any) -> ConversationKit:
    return make_kit(NotingStorage(notes, broken), **options)


async def own(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"the host's {request.url.path}")


def mounted(kit: ConversationKit) -> ASGIApp:
    return Starlette(routes=[Route("/betamax", own), Mount("/beta", app=kit)])


def mounted_by_name(kit: ConversationKit) -> ASGIApp:
    return Starlette(routes=[Route("/betamax", own), Mount("/beta", app=kit, name="conversations")])


def mounted_in_fastapi(kit: ConversationKit) -> ASGIApp:
    app = FastAPI()
    app.add_route("/betamax", own)
    app.mount("/beta", kit)
    return app


def wrapped(kit: ConversationKit) -> ASGIApp:
    return kit.middleware(Starlette(routes=[Route("/betamax", own)]), "/beta")


def wrapped_raw(kit: ConversationKit) -> ASGIApp:
    return kit.middleware(raw, "/beta")


def alone_below_beta(kit: ConversationKit) -> ASGIApp:
    """What ``DispatcherMiddleware`` and its like do: the prefix goes to ``root_path`` and stays in ``path``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).removeprefix(str(scope["root_path"]))
        if path.startswith("/beta/") or path == "/beta":
            await kit({**scope, "root_path": scope["root_path"] + "/beta"}, receive, send)
        else:
            await raw(scope, receive, send)

    return app


HOSTS: list[Callable[[ConversationKit], ASGIApp]] = [mounted, mounted_by_name, mounted_in_fastapi, wrapped, wrapped_raw, alone_below_beta]


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """A host in plain ASGI that knows no lifespan, and has one page."""
    assert scope["type"] == "http"
    found = scope["path"].endswith("/betamax")
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
    await send({"type": "http.response.body", "body": f"the host's {scope['path']}".encode()})


def like_uvicorn(app: ASGIApp, prefix: str) -> ASGIApp:
    """A proxy that strips ``prefix``, before a server that puts it back into ``path`` and into ``root_path``."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(prefix)
        await app({**scope, "root_path": prefix}, receive, send)

    return proxy


def like_hypercorn(app: ASGIApp, prefix: str) -> ASGIApp:
    """A proxy that strips ``prefix``, before a server that puts it into ``root_path`` only."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(prefix)
        await app({**scope, "root_path": prefix, "path": scope["path"].removeprefix(prefix) or "/"}, receive, send)

    return proxy


def unknown_to_the_server(app: ASGIApp, prefix: str) -> ASGIApp:
    """A proxy that strips ``prefix``, before a server that was not told."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(prefix)
        await app({**scope, "path": scope["path"].removeprefix(prefix) or "/"}, receive, send)

    return proxy


@asynccontextmanager
async def client_of(app: ASGIApp, *, headers: dict[str, str] | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """An admin's client of an application of this process. It runs no lifespan and follows no redirects."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://host.test", headers={**ADMIN, **(headers or {})}) as client:
        yield client
