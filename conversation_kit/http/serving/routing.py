"""Finding what a request asks for: an operation of the API, or a page beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.mounting import inner_path
from conversation_kit.http.serving.query import REMEMBERED
from conversation_kit.http.serving.response import Reply, Response

Page: TypeAlias = Callable[[str], Reply]
"""Makes an answer that anybody gets, of the base of all hrefs."""


@dataclass(frozen=True, slots=True)
class Target:
    """An operation, with the path below the mount that asks for it, and the ids in that path by their names."""

    operation: Operation
    path: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Path:
    """The names of a path's ids, and its operations by method."""

    names: tuple[str, ...]
    methods: dict[str, Operation]


class Routes:
    """Finds the operation of a path in one look-up, by the number of its segments and the literal ones among them.

    Every path of an API alternates between a literal and an id, so that the literals at the even places tell the path. ``pages`` are by
    their paths.
    """

    def __init__(self, operations: Iterable[Operation], pages: Mapping[str, Page] | None = None) -> None:
        self._pages = pages or {}
        self._paths: dict[tuple[int | str, ...], _Path] = {}
        self._slashed: set[tuple[int | str, ...]] = set()
        for operation in operations:
            _, *segments = operation.path.split("/")
            names = tuple(segment.strip("{}") for segment in segments[1::2])
            key: tuple[int | str, ...] = (len(segments), *segments[::2])
            self._paths.setdefault(key, _Path(names, {})).methods[operation.method] = operation
            if operation.slashes:
                self._slashed.add(key)
        self.find: Callable[[str, str, str], Target | Page] = lru_cache(maxsize=REMEMBERED)(self.look_up)
        """The same as ``look_up``, for who asks again: who follows a conversation does so again and again.

        What is found has a short path, and what raises is not remembered.
        """

    def look_up(self, method: str, path: str, root: str) -> Target | Page:
        """Return what is asked for with the method, the ``path`` and the ``root_path`` of a scope. Raises 404, or 405 with ``Allow``."""
        path = inner_path(path, root)
        if path in self._pages and method in ("GET", "HEAD"):
            return self._pages[path]
        found, ids = self._at(path)
        if method == "OPTIONS":
            return lambda base: Response(b"", 204, {"Allow": _allowed(found.methods)})
        operation = found.methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allow = _allowed(found.methods)
            raise HTTPError("http:error:method-not-allowed", f"This path takes {allow}.", {"Allow": allow})
        return Target(operation, path, dict(zip(found.names, ids, strict=True)))

    def _at(self, path: str) -> tuple[_Path, list[str]]:
        _, *segments = path.split("/")
        found = self._paths.get((len(segments), *segments[::2]))
        if found is None and (slashed := self._shortened(segments)) is not None:
            found = self._paths[slashed]
        if found is not None:
            ids = segments[1::2]
            for id in ids:
                if not (0 < len(id) <= 255 and id.isprintable()):
                    break
            else:
                return found, ids
        raise HTTPError("http:error:not-found", "There is no such path; openapi.json lists those that there are.")

    def _shortened(self, segments: list[str]) -> tuple[int | str, ...] | None:
        """Put the segments of an id with slashes together, and return the path; ``None`` if there is no such path."""
        for length, *words in self._slashed:
            assert isinstance(length, int)
            if len(segments) > length and segments[:length:2] == words:
                segments[length - 1 :] = ["/".join(segments[length - 1 :])]
                return (length, *words)
        return None


def _allowed(methods: Iterable[str]) -> str:
    """Return the methods of a path with those that come along, as the header ``Allow`` names them."""
    names = {*methods, "OPTIONS"}
    return ", ".join(sorted(names | ({"HEAD"} if "GET" in names else set())))
