"""One request for an operation: who sends it, with what path, query and body."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import anyio
from pydantic import ValidationError

from conversation_kit.domain.errors import Forbidden, InvalidInput
from conversation_kit.domain.principals import ACL
from conversation_kit.domain.reading import EventRange, Page
from conversation_kit.http.serving.body import Body, check_numbers
from conversation_kit.http.serving.errors import ErrorBody, HTTPError, answer_error, invalid_body
from conversation_kit.http.serving.mounting import Receive, Scope
from conversation_kit.http.serving.query import parse_event_range, parse_page, parse_query
from conversation_kit.http.serving.refusals import Refusals
from conversation_kit.http.serving.response import Response
from conversation_kit.services.client import Client
from conversation_kit.services.idempotency_keys import IdempotencyKey

B = TypeVar("B", bound=Body)
L = TypeVar("L")
P = TypeVar("P")

MAX_BODY = 1_000_000
"""Bytes of a request's body."""

BODY_SECONDS = 30.0
"""Seconds that a body may take to arrive."""

_DIGITS_OF_MAX = len(str(MAX_BODY))
_DIGITS = re.compile(rb"[0-9]{1,16}")
_CONTENT_TYPE = re.compile(rb"application/(?:[\w.+-]+\+)?json\s*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?", re.IGNORECASE)


class Disconnected(Exception):
    """The client went away while it was sending."""


def wants_stream(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request is a GET that accepts server-sent events."""
    return scope.get("method") == "GET" and b"text/event-stream" in headers.get(b"accept", b"").lower()


def idempotency_key_of(headers: Mapping[bytes, bytes], method: str, path: str) -> IdempotencyKey | None:
    """Return the idempotency key of a request that changes something, for its method and path. Raises ``InvalidInput``."""
    value = headers.get(b"idempotency-key")
    if value is None or method == "GET":
        return None
    return IdempotencyKey(value.decode("latin-1"), f"{method} {path}", "Idempotency-Key")


class Mount:
    """One API in one kit: what all requests to it share.

    ``acl_versions`` and ``error_body`` are the API's. ``parts`` are what layers above have for their own endpoints, by its type.
    """

    def __init__(self, refusals: Refusals, acl_versions: Sequence[str], error_body: ErrorBody, parts: Sequence[object] = ()) -> None:
        self.refusals = refusals
        self.acl_versions = acl_versions
        self.error_body = error_body
        self._parts = {type(part): part for part in parts}

    def part(self, kind: type[P]) -> P:
        """Return the part of this type."""
        part = self._parts[kind]
        assert isinstance(part, kind)
        return part

    def answer_error(self, error: Exception, path: str) -> Response:
        """See ``answer_error`` of ``errors``; the body is as the API has it."""
        return answer_error(error, path, self.error_body)


class Request(Generic[L]):
    """A request as an endpoint gets to see it. ``links`` is what its API makes hrefs with, ``kit`` the kit as its caller has it."""

    __slots__ = ("_raw", "headers", "kit", "links", "mount", "params", "path", "query_string", "receive", "scope")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        path: str,
        params: Mapping[str, str],
        links: L,
        mount: Mount,
        kit: Client,
    ) -> None:
        self.scope = scope
        self.headers = headers
        """Its headers by their names, in lower case; of one that comes several times the first."""
        self.path = path
        self.params = params
        self.links = links
        self.mount = mount
        self.kit = kit
        self.receive = receive
        self.query_string: bytes = scope.get("query_string", b"")
        """The query as it came."""
        self._raw: bytes | None = None

    def header(self, name: bytes) -> str | None:
        """Return the value of the first header of this lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def wants_stream(self) -> bool:
        """See ``wants_stream``."""
        return wants_stream(self.scope, self.headers)

    def is_covered(self, acl: ACL, method: str, path: str, fields: Mapping[str, Any] = MappingProxyType({})) -> bool:
        """Tell whether an access list allows ``method`` at a path below the mount, with these fields."""
        own = self.scope.get("root_path", "").rstrip("/").rpartition("/")[2]
        versions = dict.fromkeys((own, *self.mount.acl_versions))
        return acl.permits(method, [f"/{version}{path}" for version in versions if version], fields)

    def check_covered(self, acl: ACL, method: str, path: str, fields: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Raise ``Forbidden`` unless an access list allows it; see ``is_covered``."""
        if not self.is_covered(acl, method, path, fields):
            raise Forbidden("The token's acl does not cover this path and method.")

    async def raw(self) -> bytes:
        """Return the body.

        Raises ``HTTPError``: 413 as soon as it is known to be too long, 408 when it takes too long; and ``Disconnected``.
        """
        if self._raw is None:
            self._raw = await (_gather(self.receive) if _is_there(self.receive) else self._gather_in_time())
        return self._raw

    async def _gather_in_time(self) -> bytes:
        announced = self.headers.get(b"content-length", b"")
        if len(announced) >= _DIGITS_OF_MAX and _DIGITS.fullmatch(announced) and int(announced) > MAX_BODY:
            raise _too_large()
        with anyio.move_on_after(BODY_SECONDS):
            return await _gather(self.receive)
        # The rest of this body must not be taken for the next request.
        headers = {"Connection": "close"} if self.scope.get("http_version", "1.1").startswith("1") else None
        raise HTTPError("http:error:request-timeout", f"The body did not arrive within {BODY_SECONDS:g} seconds.", headers)

    async def body(self, shape: type[B]) -> B:
        """Return the body in this shape; an empty one is ``{}``. Raises 415 for another content type than JSON in UTF-8."""
        raw = await self.raw()
        if not raw:
            raw = b"{}"
        else:
            content_type = self.headers.get(b"content-type", b"")
            if content_type != b"application/json" and not _CONTENT_TYPE.fullmatch(content_type):
                raise HTTPError(
                    "http:error:unsupported-media-type",
                    "Send the body as JSON in UTF-8 with Content-Type: application/json.",
                )
        return _parse(shape, raw)

    async def lenient_body(self, shape: type[B]) -> B:
        """Return the body of a DELETE, where some clients send ``null`` or no content type."""
        raw = await self.raw()
        return _parse(shape, b"{}" if raw.strip() in (b"", b"null") else raw)

    async def fields(self, shape: type[Body] | None, parameters: Collection[str]) -> dict[str, Any]:
        """Return what a filter of an access list looks at: the fields of the body's ``shape`` and the query's ``parameters``.

        What the operation does not read is not there. A parameter that is given more than once, or also in the body, with different
        values is ``None``, so that no filter holds for it, whichever of them counts. A body that is no object has no fields.
        """
        fields = shape.picked(await self.raw()) if shape is not None else {}
        for name, value in parse_query(self.query_string):
            if name in parameters:
                fields[name] = value if fields.get(name, value) == value else None
        return fields

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of one that is given twice the last."""
        return dict(parse_query(self.query_string))

    def text(self, name: str) -> str | None:
        """Return a query parameter of at most 255 characters, or ``None``."""
        value = self.query.get(name) or None
        if value is not None and (len(value) > 255 or "\0" in value):
            raise InvalidInput({name: "must have at most 255 characters and no NUL"})
        return value

    def words(self, name: str) -> Sequence[str] | None:
        """Return the words of a query parameter with commas between or given several times, or ``None`` without it."""
        given = [value for key, value in parse_query(self.query_string) if key == name]
        return ",".join(given).split(",") if given else None

    def page(self, default_size: int = 100) -> Page:
        """Return the page of a list that is asked for."""
        return parse_page(self.query_string, default_size)

    def event_range(self) -> EventRange:
        """Return the range of events that is asked for."""
        return parse_event_range(self.query_string)


def _parse(shape: type[B], raw: bytes) -> B:
    if b"NaN" in raw or b"Infinity" in raw:
        check_numbers(raw)
    try:
        # What model_validate_json calls, past its look at options that nobody gives: half a microsecond.
        body: B = shape.__pydantic_validator__.validate_json(raw)
        return body
    except ValidationError as error:
        raise invalid_body(error) from error


def _is_there(receive: Receive) -> bool:
    """Tell whether all of the body has arrived, as uvicorn knows. A time limit would cost as much as all else that reading it does."""
    return getattr(getattr(receive, "__self__", None), "more_body", None) is False


async def _gather(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > MAX_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return b"".join([*pieces, piece]) if pieces else piece
        pieces.append(piece)


def _too_large() -> HTTPError:
    return HTTPError("http:error:payload-too-large", f"The body may have {MAX_BODY} bytes.")
