"""Finding the operation that a request asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.query import LONGEST_REMEMBERED, REMEMBERED


@dataclass(frozen=True, slots=True)
class _Path:
    """The names of a path's ids, and its operations by method."""

    names: tuple[str, ...]
    methods: dict[str, Operation]


class Routes:
    """Finds the operation of a path in one look-up, by the number of its segments and the literal ones among them.

    Every path of an API alternates between a literal and an id, so that the literals at the even places tell the path. What was
    found last is remembered: who follows a conversation asks for the same path again and again.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._find)
        self._paths: dict[tuple[int | str, ...], _Path] = {}
        self._slashed: set[tuple[int | str, ...]] = set()
        for operation in operations:
            _, *segments = operation.path.split("/")
            names = tuple(segment.strip("{}") for segment in segments[1::2])
            key: tuple[int | str, ...] = (len(segments), *segments[::2])
            self._paths.setdefault(key, _Path(names, {})).methods[operation.method] = operation
            if operation.slashes:
                self._slashed.add(key)

    def methods(self, path: str) -> Mapping[str, Operation]:
        """Return the operations of a path by method. Raises 404."""
        return self._at(path)[0].methods

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """Return the operation and its path parameters. Raises 404 or 405, the latter with ``Allow``."""
        return self._remembered(method, path) if len(path) <= LONGEST_REMEMBERED else self._find(method, path)

    def _find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        found, ids = self._at(path)
        operation = found.methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allow = ", ".join(allowed(found.methods))
            raise HTTPError("http:error:method-not-allowed", f"This path takes {allow}.", {"Allow": allow})
        return operation, dict(zip(found.names, ids, strict=True))

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


def allowed(methods: Iterable[str]) -> list[str]:
    """Return the methods of a path with those that come along."""
    names = {*methods, "OPTIONS"}
    return sorted(names | ({"HEAD"} if "GET" in names else set()))
