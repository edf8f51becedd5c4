"""Pages of lists: the HAL envelope, and a ``Link`` header for those lists that are bare arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from conversation_kit.domain.reading import Slice
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.schemas.responses import PageLinks
from conversation_kit.http.serving.query import parse_query, remembered
from conversation_kit.http.serving.request import Request


class Window(Protocol):
    """Common part of a page and a range of events."""

    @property
    def size(self) -> int:
        """Return the number of rows that were asked for."""

    @property
    def index(self) -> int:
        """The offset of the first one."""


def page_of(request: Request[Links], page: Window, rows: Slice[Any], embedded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope of a page of a list, which may have fewer rows than were asked for."""
    total, end = rows.total, page.index + len(rows.items)
    links: PageLinks = {"self": {"href": _href(request, page, page.index)}, "first": {"href": _href(request, page, 0)}}
    if page.index < end < total:
        links["next"] = {"href": _href(request, page, end)}
    if page.index > 0:
        links["prev"] = {"href": _href(request, page, max(page.index - page.size, 0))}
    return {"count": total, "page_size": page.size, "record_index": page.index, "_links": links, "_embedded": embedded}


def next_link(request: Request[Links], page: Window, count: int, more: bool) -> dict[str, str] | None:
    """Return the header that tells where an array of ``count`` rows goes on (RFC 8288), if it does."""
    return {"Link": f'<{_href(request, page, page.index + count)}>; rel="next"'} if more else None


def next_of(request: Request[Links], page: Window, rows: Slice[Any]) -> dict[str, str] | None:
    """``next_link`` of a slice of a list."""
    return next_link(request, page, len(rows.items), page.index < page.index + len(rows.items) < rows.total)


def _href(request: Request[Links], page: Window, index: int) -> str:
    return request.links.list(request.path, _query(request.query_string, page.size, index))


@remembered
def _query(query_string: bytes, size: int, index: int) -> str:
    given = [(name, value) for name, value in parse_query(query_string) if name not in ("page_size", "record_index")]
    return urlencode([("page_size", str(size)), ("record_index", str(index)), *given])
