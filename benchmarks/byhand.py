"""``python -m benchmarks.byhand``: what is written by hand in the HTTP layer, beside Starlette's own: the table in docs/architecture.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from conversation_kit import ConversationKit, HostAuthenticator
from conversation_kit.hooks.receivers import Hub
from conversation_kit.http.app import headers_of
from conversation_kit.http.beta.api import BETA
from conversation_kit.http.beta.links import Links
from conversation_kit.http.serving.mounting import Message, Scope
from conversation_kit.http.serving.query import parse_query
from conversation_kit.http.serving.refusals import Refusals
from conversation_kit.http.serving.request import Mount
from conversation_kit.http.serving.request import Request as KitRequest
from conversation_kit.http.serving.response import Response as KitResponse
from conversation_kit.http.serving.routing import Routes

ROUNDS, CALLS = 9, 20_000
EVERYTHING = BETA.operations
PATH = "/conversations/CON-01890000-0000-7000-8000-000000000000/events/17"
QUERY = b"order=desc&page_size=100"
BODY = b'{"type":"text","body":{"text":"hello there"}}\n'
SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "path": PATH,
    "root_path": "",
    "query_string": QUERY,
    "headers": [
        (b"host", b"localhost:8000"),
        (b"user-agent", b"benchmark"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer x.y.z"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
    ],
}


async def _endpoint(request: Request) -> Response:
    raise NotImplementedError


STARLETTE = [Route(path, _endpoint) for path in dict.fromkeys(operation.path for operation in EVERYTHING)]
ROUTES = Routes(EVERYTHING)
LINKS = Links("http://localhost:8000/beta")
MOUNT = Mount(Refusals(Hub()), BETA.acl_versions, BETA.wire.error)
CLIENT = ConversationKit(storage="memory://", auth=HostAuthenticator(lambda connection: None)).as_user("ana")


async def _receive() -> Message:
    return {"type": "http.request", "body": BODY, "more_body": False}


class _Arrived:
    """A server's side of a request whose body is there already, as uvicorn has it."""

    more_body = False

    async def receive(self) -> Message:
        """Return the whole body."""
        return {"type": "http.request", "body": BODY, "more_body": False}


ARRIVED = _Arrived()


async def _send(message: Message) -> None:
    """Take a message, as a server whose buffer has room does."""


def _kit_request() -> KitRequest[Links]:
    return KitRequest(SCOPE, _receive, headers_of(SCOPE), PATH, {}, LINKS, MOUNT, CLIENT)


def matched(scope: Scope = SCOPE) -> Route:
    """Return the route that Starlette's router would take, which tries one after the other."""
    return next(route for route in STARLETTE if route.matches(scope)[0] is Match.FULL)


def _two_headers() -> object:
    headers = Headers(scope=SCOPE)
    return headers.get("authorization"), headers.get("content-type")


def _two_headers_of_a_request() -> object:
    headers = Request(SCOPE).headers
    return headers.get("authorization"), headers.get("content-type")


def _two_headers_of_a_kit_request() -> object:
    request = _kit_request()
    return request.header(b"authorization"), request.header(b"content-type")


async def _request_body() -> object:
    return await Request(SCOPE, _receive).body()


async def _kit_request_body() -> object:
    return await KitRequest(SCOPE, ARRIVED.receive, headers_of(SCOPE), PATH, {}, LINKS, MOUNT, CLIENT).raw()


async def _kit_request_body_with_a_limit() -> object:
    return await _kit_request().raw()


async def _response() -> None:
    await Response(BODY, media_type="application/json")(SCOPE, _receive, _send)


async def _answer() -> None:
    await KitResponse(BODY).send(_send)


STEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    (f"{len(STARLETTE)} paths, Route.matches in turn", matched),
    ("the same, Routes", lambda: ROUTES.look_up("GET", PATH, "")),
    ("the same, Routes, remembered", lambda: ROUTES.find("GET", PATH, "")),
    ("two headers, Headers", _two_headers),
    ("two headers, Request", _two_headers_of_a_request),
    ("two headers, KitRequest.header", _two_headers_of_a_kit_request),
    ("a query, QueryParams", lambda: QueryParams(QUERY)),
    ("a query, parse_query", lambda: parse_query.__wrapped__(QUERY)),  # type: ignore[attr-defined]
    ("a query, parse_query, remembered", lambda: parse_query(QUERY)),
)
WAITING: tuple[tuple[str, Callable[[], Awaitable[object]]], ...] = (
    (f"a body of {len(BODY)} bytes, Request.body", _request_body),
    ("a body, KitRequest.raw, when all of it is there", _kit_request_body),
    ("a body, KitRequest.raw, with its time limit", _kit_request_body_with_a_limit),
    ("an answer, Response", _response),
    ("an answer, KitResponse.send", _answer),
)


def measure(step: Callable[[], object]) -> float:
    """Return the microseconds of processor time of one call: the least of all rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            step()
        best = min(best, time.process_time() - began)
    return best / CALLS * 1e6


async def measure_waiting(step: Callable[[], Awaitable[object]]) -> float:
    """Return the same of a step that needs an event loop, although it waits for nothing."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await step()
        best = min(best, time.process_time() - began)
    return best / CALLS * 1e6


def main() -> None:
    """Print the table."""
    for name, step in STEPS:
        print(f"{name:<45}{measure(step):6.1f} us")
    for name, waiting in WAITING:
        print(f"{name:<45}{asyncio.run(measure_waiting(waiting)):6.1f} us")


if __name__ == "__main__":
    main()
