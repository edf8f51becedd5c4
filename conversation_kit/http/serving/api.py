"""An API as a value: its operations, and how its addresses, access lists, errors and documentation look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from conversation_kit.http.serving.body import Body
from conversation_kit.http.serving.errors import ErrorBody, problem_details
from conversation_kit.http.serving.mounting import Send
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import Reply


class WebSocket(Protocol):
    """A WebSocket whose handshake is not answered yet."""

    async def serve(self, send: Send) -> None:
        """Accept it and serve it until either side closes; refuse it if it may not be."""


Endpoint: TypeAlias = Callable[[Request[Any]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of an API.

    ``response`` is the shape of the success answer; ``query`` names the query parameters; ``errors`` lists the statuses beside
    those that every operation may answer. ``media_type`` is that of the success answer. ``extension`` marks what the API does not have.
    ``slashes`` says that the id at the end of the path may hold some, so nothing can lie below it.
    ``older_body`` is read from older clients and not in the document; ``stream_query`` names the parameters of the live stream.
    ``examples`` are bodies to try out, by what they do. ``socket`` serves the same path as a WebSocket.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    endpoint: Endpoint
    response: Any
    status: int = 200
    body: type[Body] | None = None
    body_required: bool = False
    query: tuple[str, ...] = ()
    page_size: int = 100
    errors: tuple[int, ...] = ()
    description: str = ""
    media_type: str = "application/json"
    extension: bool = False
    older_body: type[Body] | None = None
    stream_query: tuple[str, ...] = ()
    slashes: bool = False
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    socket: Callable[[Request[Any]], WebSocket] | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """Description of a parameter of a path or a query, for the OpenAPI document; ``example`` is one of a path's."""

    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """Wire format of an API, as far as the operations do not make it themselves: the ``error`` body, and its shape in the document."""

    error: ErrorBody = problem_details
    error_schema: Any = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class API:
    """An API that the kit can serve.

    ``links`` makes what the endpoints build hrefs with, of the base of all hrefs. ``acl_versions`` are the first segments under which
    access lists may write the paths, beside the last segment of the mount. ``schemas`` are shapes that the document has beside those
    of the operations; ``query_parameters`` and ``path_parameters`` describe parameters by name.
    """

    name: str
    version: str
    title: str
    description: str
    operations: tuple[Operation, ...]
    links: Callable[[str], Any] = str
    wire: Wire = Wire()
    acl_versions: tuple[str, ...] = ()
    schemas: tuple[type[Body], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    path_parameters: Mapping[str, Parameter] = field(default_factory=dict)
    query_parameters: Mapping[str, Parameter] = field(default_factory=dict)
