"""Bodies of requests: their shapes, and reading one within a size and a time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.mounting import Receive, Scope

MAX_BODY = 1_000_000
"""Bytes of a request's body."""

BODY_SECONDS = 30.0
"""Seconds that a body may take to arrive."""

_DIGITS_OF_MAX = len(str(MAX_BODY))
_DIGITS = re.compile(r"[0-9]{1,16}")


class Disconnected(Exception):
    """The client went away while it was sending."""


class Body(BaseModel):
    """Common part of the shapes of bodies."""

    model_config = ConfigDict(strict=True, extra="ignore")

    @classmethod
    def picked(cls, raw: bytes) -> dict[str, Any]:
        """Return the top-level fields of a JSON text that this shape reads, unchecked; none of what is no object."""
        try:
            fields = from_json(raw or b"{}", allow_inf_nan=False)
        except ValueError:
            return {}
        names = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: value for name, value in fields.items() if name in names} if isinstance(fields, dict) else {}

    def given(self) -> dict[str, Any]:
        """Return the fields that the request has, ``null`` ones too."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def read_body(scope: Scope, receive: Receive, header: Callable[[bytes], str | None]) -> Awaitable[bytes]:
    """Return the body of a request, to be awaited. ``header`` looks up its headers.

    Raises ``HTTPError``: 413 as soon as it is known to be too long, 408 when it takes too long; and ``Disconnected``.
    """
    return _gather(receive) if _is_there(receive) else _gather_in_time(scope, receive, header(b"content-length"))


def check_numbers(raw: bytes | str) -> None:
    """Raise ``InvalidInput`` for a text with ``NaN`` or ``Infinity`` outside strings: no JSON, also where nobody reads it."""
    try:
        from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput({"body": f"is not JSON: {error}"}) from error


def _is_there(receive: Receive) -> bool:
    """Tell whether all of the body has arrived, as uvicorn knows. A time limit would cost as much as all else that reading it does."""
    return getattr(getattr(receive, "__self__", None), "more_body", None) is False


async def _gather(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > MAX_BODY:
            raise _too_large()
        more = message.get("more_body")
        if not more and not chunks:
            return body
        chunks.append(body)
        if not more:
            return b"".join(chunks)


async def _gather_in_time(scope: Scope, receive: Receive, announced: str | None) -> bytes:
    if announced is not None and len(announced) >= _DIGITS_OF_MAX and _DIGITS.fullmatch(announced) and int(announced) > MAX_BODY:
        raise _too_large()
    with anyio.move_on_after(BODY_SECONDS):
        return await _gather(receive)
    # The rest of this body must not be taken for the next request.
    headers = {"Connection": "close"} if scope.get("http_version", "1.1").startswith("1") else None
    raise HTTPError("http:error:request-timeout", f"The body did not arrive within {BODY_SECONDS:g} seconds.", headers)


def _too_large() -> HTTPError:
    return HTTPError("http:error:payload-too-large", f"The body may have {MAX_BODY} bytes.")
