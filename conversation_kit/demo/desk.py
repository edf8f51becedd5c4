"""Requests of the demo's pages to their host: a session for the key in their address, and calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from conversation_kit.demo.people import People
from conversation_kit.demo.phones import Phones
from conversation_kit.domain.errors import Forbidden, InvalidInput
from conversation_kit.http.serving.errors import HTTPError, answer_error
from conversation_kit.http.serving.response import Response as KitResponse
from conversation_kit.ports import Authenticator

MAX_BODY = 10_000
"""Bytes of a request's body."""

Endpoint = Callable[[Request], Awaitable[Mapping[str, Any]]]


class Desk:
    """The endpoints below ``/demo``. Errors are as the kit's own."""

    def __init__(self, auth: Authenticator, people: People) -> None:
        self._auth = auth
        self._people = people
        self.phones: Phones
        """There while the host runs."""

    def routes(self) -> list[BaseRoute]:
        """All of them are POST with a JSON object."""
        return [
            Route("/demo/session", _answering(self._session), methods=["POST"]),
            Route("/demo/calls", _answering(self._call), methods=["POST"]),
            Route("/demo/legs/{leg_id}", _answering(self._move), methods=["POST"]),
        ]

    async def _session(self, request: Request) -> Mapping[str, Any]:
        return await self._people.session((await _texts(request, "key"))["key"])

    async def _call(self, request: Request) -> Mapping[str, Any]:
        caller = await self._user(request)
        given = await _texts(request, "conversation_id")
        return {"leg_ids": await self.phones.call(caller, given["conversation_id"])}

    async def _move(self, request: Request) -> Mapping[str, Any]:
        user = await self._user(request)
        await self.phones.move(user, request.path_params["leg_id"], (await _texts(request, "status"))["status"])
        return {}

    async def _user(self, request: Request) -> str:
        principal = await self._auth.authenticate(request.scope)
        if principal.user_name is None:
            raise Forbidden("Calls are for people.")
        return principal.user_name


async def _texts(request: Request, *names: str) -> dict[str, str]:
    """Return the named fields of a body that is a JSON object; all of them texts. Raises ``RequestError``."""
    too_long = HTTPError("http:error:payload-too-large", f"A body may have {MAX_BODY} bytes here.")
    announced = request.headers.get("content-length", "")
    if len(announced) > 9 or (announced.isdecimal() and int(announced) > MAX_BODY):
        raise too_long
    raw = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            raw += chunk
            if len(raw) > MAX_BODY:
                raise too_long
    try:
        body = from_json(bytes(raw), allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput({"body": "must be JSON"}) from error
    if not isinstance(body, dict):
        raise InvalidInput({"body": "must be an object"})
    wrong = {name: "must be a string" for name in names if not isinstance(body.get(name), str)}
    if wrong:
        raise InvalidInput(wrong)
    return {name: body[name] for name in names}


def _answering(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            answer = KitResponse.json(await endpoint(request))
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        except Exception as error:
            answer = answer_error(error, request.scope["path"])
        headers = {**(answer.headers or {}), "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(answer.body, answer.status, headers, answer.content_type)

    return answer
