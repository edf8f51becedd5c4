"""The hosts that test_servers runs on real servers; which one, and where its files are, stands in the environment.

Every host answers ``/`` and ``/betamax`` itself, and has the kit at ``/beta``. What starts and stops is written to a file.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from conversation_kit import ConversationKit, JWTAuthenticator
from conversation_kit.http.serving.mounting import Receive, Scope, Send
from conversation_kit_sql import SQLStorage
from tests.integration.hosts.watched import make_watched

FOLDER = Path(os.environ["HOST_FOLDER"])


def note(what: str) -> None:
    with (FOLDER / "notes.txt").open("a") as file:
        file.write(what + "\n")


class NotingStorage(SQLStorage):
    async def open(self) -> None:
        await super().open()
        note("storage opened")

    async def close(self) -> None:
        await super().close()
        note("storage closed")


def make_starlette(kit: ConversationKit) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def own(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"the host's {request.url.path}")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with kit.lifespan(app):
            note("host started")
            yield
            note("host stopped")

    return Starlette(routes=[Route("/", own), Route("/betamax", own), Mount("/beta", app=kit)], lifespan=lifespan)


def make_fastapi(kit: ConversationKit) -> Any:
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with kit.lifespan(app):
            note("host started")
            yield
            note("host stopped")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def home() -> str:
        return "the host's /"

    @app.get("/betamax")
    async def betamax() -> str:
        return "the host's /betamax"

    app.mount("/beta", kit)
    return app


def make_quart(kit: ConversationKit) -> Any:
    import quart

    return _add_to(quart.Quart("host"), kit)


def make_quart_trio(kit: ConversationKit) -> Any:
    import quart_trio

    return _add_to(quart_trio.QuartTrio("host"), kit)


def _add_to(app: Any, kit: ConversationKit) -> Any:
    from quart import request

    async def own() -> str:
        return f"the host's {request.path}"

    app.add_url_rule("/", "home", own)
    app.add_url_rule("/betamax", "betamax", own)
    app.before_serving(partial(note, "host started"))
    app.after_serving(partial(note, "host stopped"))
    app.asgi_app = kit.middleware(app.asgi_app, "/beta")
    return app


def make_raw(kit: ConversationKit) -> Any:
    """Plain ASGI, without a lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        known = scope["path"] in ("/", "/betamax")
        body = f"the host's {scope['path']}" if known else "the host has no such page"
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body.encode()})

    return kit.middleware(app, "/beta")


HOSTS: dict[str, Callable[[ConversationKit], Any]] = {
    "starlette": make_starlette,
    "fastapi": make_fastapi,
    "quart": make_quart,
    "quart-trio": make_quart_trio,
    "raw": make_raw,
    "watched": make_watched,
}

app = HOSTS[os.environ["HOST"]](
    ConversationKit(
        storage=NotingStorage(f"sqlite:///{FOLDER / 'chat.db'}"),
        auth=JWTAuthenticator({"app-1": (FOLDER / "public.pem").read_text()}),
    )
)
