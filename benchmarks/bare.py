"""The yardstick: what a Starlette endpoint costs that parses, checks the token, and answers, and does nothing else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import jwt
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from benchmarks.rooms import PREFIX


class Posted(BaseModel):
    """An event to append."""

    type: str
    sender: str | None = Field(default=None, alias="from")
    body: dict[str, Any] | None = None


class Created(BaseModel):
    """The answer to it."""

    id: str
    timestamp: str
    href: str


def bare_app(
    public_key: str,
    *,
    page: bytes = b"",
    append: Callable[[str, str], int] | None = None,
    deliver: Callable[[str], Awaitable[None]] | None = None,
) -> Starlette:
    """Make a host with the two endpoints mounted.

    ``page`` is the answer of the reading one.
    ``append`` takes a conversation's id and an event's JSON, stores it, and returns its id; it is called in a worker thread. ``deliver`` is
    awaited with the path that was posted to, when nothing is stored.
    """
    verified: dict[str, dict[str, Any]] = {}

    def check(request: Request) -> str:
        token = request.headers["authorization"][len("Bearer ") :]
        claims = verified.get(token)
        if claims is None:
            claims = verified[token] = jwt.decode(token, public_key, algorithms=["RS256"])
        return str(claims["sub"])

    def created(request: Request, id: int, timestamp: str) -> Response:
        href = f"http://127.0.0.1{PREFIX}/conversations/{request.path_params['conversation_id']}/events/{id}"
        return Response(Created(id=str(id), timestamp=timestamp, href=href).model_dump_json(), 201, media_type="application/json")

    async def post(request: Request) -> Response:
        check(request)
        posted = Posted.model_validate_json(await request.body())
        if append is None:
            if deliver is not None:
                await deliver(request.scope["path"])
            return created(request, 1, "2026-01-01T00:00:00.000Z")
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = json.dumps({"type": posted.type, "from": posted.sender, "timestamp": timestamp, "body": posted.body})
        return created(request, await anyio.to_thread.run_sync(append, request.path_params["conversation_id"], data), timestamp)

    async def get(request: Request) -> Response:
        check(request)
        return Response(page, media_type="application/json")

    path = "/conversations/{conversation_id}/events"
    inner = Starlette(routes=[Route(path, post, methods=["POST"]), Route(path, get, methods=["GET"])])
    return Starlette(routes=[Mount(PREFIX, app=inner)])
