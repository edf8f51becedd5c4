"""The yardstick: what a Starlette endpoint costs that parses, checks the token, and answers, and does nothing else."""

from __future__ import annotations

from typing import Any

import jwt
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

PREFIX = "/api"


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


def bare_app(public_key: str, page: bytes) -> Starlette:
    """A host with the two endpoints mounted. ``page`` is what the reading one sends."""
    verified: dict[str, dict[str, Any]] = {}

    def check(request: Request) -> str:
        token = request.headers["authorization"][len("Bearer ") :]
        claims = verified.get(token)
        if claims is None:
            claims = verified[token] = jwt.decode(token, public_key, algorithms=["RS256"])
        return str(claims["sub"])

    async def post(request: Request) -> Response:
        check(request)
        Posted.model_validate_json(await request.body())
        href = f"http://127.0.0.1{PREFIX}/conversations/{request.path_params['conversation_id']}/events/1"
        created = Created(id="1", timestamp="2026-01-01T00:00:00.000Z", href=href)
        return Response(created.model_dump_json(), 201, media_type="application/json")

    async def get(request: Request) -> Response:
        check(request)
        return Response(page, media_type="application/json")

    path = "/conversations/{conversation_id}/events"
    inner = Starlette(routes=[Route(path, post, methods=["POST"]), Route(path, get, methods=["GET"])])
    return Starlette(routes=[Mount(PREFIX, app=inner)])
