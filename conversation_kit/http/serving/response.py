"""Answers: JSON bytes with a status, in two ASGI messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from pydantic_core import to_json

from conversation_kit.http.serving.mounting import Message, Send

JSON: Final = "application/json"
_JSON: Final = ((b"content-type", JSON.encode()), (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""Answers in JSON are for one caller and one moment, and are no page."""


class Reply(Protocol):
    """The answer of an endpoint."""

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send all of it; for HEAD without a body."""


class Response:
    """A whole response. Leaner than Starlette's, whose headers alone cost a tenth of a small request."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = JSON) -> None:
        self.body = body
        self.content_type = content_type
        self.status = status
        self.headers = headers

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Make an answer with a JSON value."""
        return cls(to_json(value), status, headers)

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """Return the same response with more headers."""
        return Response(self.body, self.status, {**(self.headers or {}), **headers}, self.content_type)

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it; for HEAD without the body."""
        await send(self.start())
        await send({"type": "http.response.body", "body": b"" if head else self.body})

    def start(self) -> Message:
        """Return the first of its messages: status and headers."""
        headers: list[tuple[bytes, bytes]] = []
        if self.status != 204:
            kind = _JSON if self.content_type is JSON else ((b"content-type", self.content_type.encode()),)
            headers = [*kind, (b"content-length", b"%d" % len(self.body))]
        if self.headers is not None:
            for name, value in self.headers.items():
                headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        return {"type": "http.response.start", "status": self.status, "headers": headers}


EMPTY = Response(b"{}")
"""Done, and nothing to say of it."""
