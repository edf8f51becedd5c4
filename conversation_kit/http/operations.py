"""The operations as a table, the API's 22 and the kit's own: what routes requests and what the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from conversation_kit.http.calls import Call
from conversation_kit.http.errors import DoorError
from conversation_kit.http.requests import Body
from conversation_kit.http.responses import Reply

Endpoint: TypeAlias = Callable[[Call], Awaitable[Reply]]

PAGING = ("page_size", "record_index", "order")
DATES = ("date_start", "date_end")
EVENT_IDS = ("start_id", "end_id")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    ``answer`` is the shape of the success answer; ``query`` names the query parameters; ``errors`` lists the statuses beside
    those that every operation may answer. ``extension`` marks what the API does not have.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    endpoint: Endpoint
    answer: Any
    status: int = 200
    body: type[Body] | None = None
    body_required: bool = False
    query: tuple[str, ...] = ()
    page_size: int = 100
    errors: tuple[int, ...] = ()
    description: str = ""
    extension: bool = False


@dataclass(frozen=True, slots=True)
class _Path:
    """The names of a path's ids, and its operations by method."""

    names: tuple[str, ...]
    methods: dict[str, Operation]


class Routes:
    """Finds the operation of a path in one look-up, by the number of its segments and the literal ones among them.

    Every path of the API alternates between a literal and an id, so that the literals at the even places tell the path.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._paths: dict[tuple[str, ...], _Path] = {}
        for operation in operations:
            segments = operation.path[1:].split("/")
            names = tuple(segment.strip("{}") for segment in segments[1::2])
            self._paths.setdefault(_shape(segments), _Path(names, {})).methods[operation.method] = operation

    def methods(self, path: str) -> Mapping[str, Operation]:
        """The operations of a path by method. Raises 404."""
        return self._at(path[1:].split("/")).methods

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """The operation and its path parameters. Raises 404 or 405, the latter with ``Allow``."""
        segments = path[1:].split("/")
        found = self._at(segments)
        operation = found.methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allow = ", ".join(allowed(found.methods))
            raise DoorError("http:error:method-not-allowed", f"This path takes {allow}.", {"Allow": allow})
        return operation, dict(zip(found.names, segments[1::2], strict=True))

    def _at(self, segments: list[str]) -> _Path:
        found = self._paths.get(_shape(segments))
        if found is not None:
            for id in segments[1::2]:
                if not (0 < len(id) <= 255 and id.isprintable()):
                    break
            else:
                return found
        raise DoorError("http:error:not-found", "There is no such path; openapi.json lists those that there are.")


def allowed(methods: Iterable[str]) -> list[str]:
    """The methods of a path with those that come along."""
    names = {*methods, "OPTIONS"}
    return sorted(names | ({"HEAD"} if "GET" in names else set()))


def _shape(segments: list[str]) -> tuple[str, ...]:
    return (str(len(segments)), *segments[::2])
