"""The operations as a table, the API's 22 and the kit's own: what routes requests and what the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from conversation_kit.http.calls import Call
from conversation_kit.http.errors import DoorError
from conversation_kit.http.queries import LONGEST_REMEMBERED, REMEMBERED
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
    those that every operation may answer. ``media_type`` is that of the success answer. ``extension`` marks what the API does not have.
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
    media_type: str = "application/json"
    extension: bool = False


@dataclass(frozen=True, slots=True)
class _Path:
    """The names of a path's ids, and its operations by method."""

    names: tuple[str, ...]
    methods: dict[str, Operation]


class Routes:
    """Finds the operation of a path in one look-up, by the number of its segments and the literal ones among them.

    Every path of the API alternates between a literal and an id, so that the literals at the even places tell the path. What was
    found last is remembered: who follows a conversation asks for the same path again and again.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._find)
        self._paths: dict[tuple[int | str, ...], _Path] = {}
        for operation in operations:
            _, *segments = operation.path.split("/")
            names = tuple(segment.strip("{}") for segment in segments[1::2])
            self._paths.setdefault((len(segments), *segments[::2]), _Path(names, {})).methods[operation.method] = operation

    def methods(self, path: str) -> Mapping[str, Operation]:
        """The operations of a path by method. Raises 404."""
        return self._at(path)[0].methods

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """The operation and its path parameters. Raises 404 or 405, the latter with ``Allow``."""
        return self._remembered(method, path) if len(path) <= LONGEST_REMEMBERED else self._find(method, path)

    def _find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        found, ids = self._at(path)
        operation = found.methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allow = ", ".join(allowed(found.methods))
            raise DoorError("http:error:method-not-allowed", f"This path takes {allow}.", {"Allow": allow})
        return operation, dict(zip(found.names, ids, strict=True))

    def _at(self, path: str) -> tuple[_Path, list[str]]:
        _, *segments = path.split("/")
        found = self._paths.get((len(segments), *segments[::2]))
        if found is not None:
            ids = segments[1::2]
            for id in ids:
                if not (0 < len(id) <= 255 and id.isprintable()):
                    break
            else:
                return found, ids
        raise DoorError("http:error:not-found", "There is no such path; openapi.json lists those that there are.")


def allowed(methods: Iterable[str]) -> list[str]:
    """The methods of a path with those that come along."""
    names = {*methods, "OPTIONS"}
    return sorted(names | ({"HEAD"} if "GET" in names else set()))
