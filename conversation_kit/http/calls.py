"""One call of an operation: who calls, with what path, query and body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from conversation_kit.domain.errors import InvalidInput, event_not_found
from conversation_kit.domain.principals import ACL
from conversation_kit.domain.reading import EventRange, Page
from conversation_kit.http.errors import DoorError, invalid_body
from conversation_kit.http.links import Links
from conversation_kit.http.mounting import Receive, Scope
from conversation_kit.http.queries import parse_event_range, parse_page, parse_query
from conversation_kit.http.requests import Body
from conversation_kit.services.acting import Acting

if TYPE_CHECKING:
    from conversation_kit.http.streams import Streams

B = TypeVar("B", bound=Body)

MAX_BODY = 1_000_000
"""Bytes of a request's body."""

_DIGITS_OF_MAX = len(str(MAX_BODY))
_DIGITS = re.compile(r"[0-9]{1,16}")
_CONTENT_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?", re.IGNORECASE | re.ASCII)


VERSION_ALIASES = ("beta", "v1", "v0.1")
"""The version names under which tokens of the past wrote their access lists (SEMANTICS section 5)."""


class Disconnected(Exception):
    """The client went away while it was sending."""


class Call:
    """What an endpoint gets to see of a request."""

    def __init__(self, scope: Scope, receive: Receive, path: str, params: Mapping[str, str], links: Links) -> None:
        self.scope = scope
        self.path = path
        self.params = params
        self.links = links
        self.acting: Acting
        self.streams: Streams
        self.receive = receive
        self._headers: dict[bytes, bytes] | None = None
        self._raw: bytes | None = None

    def header(self, name: bytes) -> str | None:
        """The value of the first header of this lower-case name."""
        if self._headers is None:
            self._headers = dict(reversed([*self.scope["headers"]]))
        value = self._headers.get(name)
        return value.decode("latin-1") if value is not None else None

    @property
    def wants_stream(self) -> bool:
        """Whether this is a GET that accepts server-sent events."""
        accept = self.header(b"accept")
        return accept is not None and "text/event-stream" in accept.lower() and self.scope["method"] == "GET"

    def is_covered(self, acl: ACL, method: str, path: str, fields: Mapping[str, Any] = MappingProxyType({})) -> bool:
        """Whether an access list allows ``method`` at a path below the mount, with these fields."""
        own = self.scope.get("root_path", "").rstrip("/").rpartition("/")[2]
        return acl.permits(method, [f"/{version}{path}" for version in dict.fromkeys((own, *VERSION_ALIASES)) if version], fields)

    async def raw(self) -> bytes:
        """The body. Raises 413 as soon as it is known to be too long."""
        if self._raw is None:
            announced = self.header(b"content-length")
            if announced is not None and len(announced) >= _DIGITS_OF_MAX and _DIGITS.fullmatch(announced) and int(announced) > MAX_BODY:
                raise _too_large()
            message = await self.receive()
            body = message.get("body", b"")
            if message.get("more_body") or message["type"] != "http.request":
                body = await self._rest(message)
            if len(body) > MAX_BODY:
                raise _too_large()
            self._raw = body
        return self._raw

    async def _rest(self, message: Mapping[str, Any]) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > MAX_BODY:
                raise _too_large()
            if not message.get("more_body"):
                return b"".join(chunks)
            message = await self.receive()

    async def body(self, shape: type[B]) -> B:
        """The body in this shape; an empty one is ``{}``. Raises 415 for another content type than JSON in UTF-8."""
        raw = await self.raw()
        if not raw:
            raw = b"{}"
        else:
            content_type = self.header(b"content-type")
            if content_type is None or (content_type != "application/json" and not _CONTENT_TYPE.fullmatch(content_type)):
                raise DoorError(
                    "http:error:unsupported-media-type",
                    "Send the body as JSON in UTF-8 with Content-Type: application/json.",
                )
        return _parse(shape, raw)

    async def lenient_body(self, shape: type[B]) -> B:
        """The body of a DELETE, where some clients send ``null`` or no content type."""
        raw = await self.raw()
        return _parse(shape, b"{}" if raw.strip() in (b"", b"null") else raw)

    async def fields(self, *, of_body: bool) -> dict[str, Any]:
        """What a filter of an access list looks at: the top-level fields of the body where the operation reads one, else the query.

        A parameter that is given more than once, or also in the body of a DELETE, with different values is ``None``, so that no
        filter holds for it, whichever of them counts. A body that is no object has no fields.
        """
        try:
            body = from_json(await self.raw() or b"{}")
        except ValueError:
            body = {}
        fields: dict[str, Any] = body if isinstance(body, dict) else {}
        if not of_body:
            for name, value in parse_query(self.query_string):
                fields[name] = value if fields.get(name, value) == value else None
        return fields

    @property
    def query_string(self) -> bytes:
        """The query as it came."""
        query: bytes = self.scope.get("query_string", b"")
        return query

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of one that is given twice the last."""
        return dict(parse_query(self.query_string))

    def text(self, name: str) -> str | None:
        """A query parameter of at most 255 characters, or ``None``."""
        value = self.query.get(name) or None
        if value is not None and (len(value) > 255 or "\0" in value):
            raise InvalidInput({name: "must have at most 255 characters and no NUL"})
        return value

    def page(self, default_size: int = 100) -> Page:
        """Which page of a list is asked for."""
        return parse_page(self.query_string, default_size)

    def event_range(self) -> EventRange:
        """Which events are asked for."""
        return parse_event_range(self.query_string)

    def event_id(self) -> int:
        """The event that the path names."""
        text = self.params["event_id"]
        if not _DIGITS.fullmatch(text):
            raise event_not_found("with that id")
        return int(text)


def _parse(shape: type[B], raw: bytes) -> B:
    try:
        # What model_validate_json calls, past its look at options that nobody gives: half a microsecond.
        body: B = shape.__pydantic_validator__.validate_json(raw)
        return body
    except ValidationError as error:
        raise invalid_body(error) from error


def _too_large() -> DoorError:
    return DoorError("http:error:payload-too-large", f"The body may have {MAX_BODY} bytes.")
