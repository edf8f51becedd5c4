"""Pages of lists: the HAL envelope, and a ``Link`` header for those lists that are bare arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from conversation_kit.http.answers import PageLinks
from conversation_kit.http.calls import Call
from conversation_kit.http.queries import parse_query, remembered


class Window(Protocol):
    """What a page and a range of events have in common."""

    @property
    def size(self) -> int:
        """How many rows were asked for."""

    @property
    def index(self) -> int:
        """The offset of the first one."""


def page_of(call: Call, page: Window, total: int, embedded: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope of a page of a list with ``total`` rows in all."""
    links: PageLinks = {"self": {"href": _href(call, page, page.index)}, "first": {"href": _href(call, page, 0)}}
    if page.index + page.size < total:
        links["next"] = {"href": _href(call, page, page.index + page.size)}
    if page.index > 0:
        links["prev"] = {"href": _href(call, page, max(page.index - page.size, 0))}
    return {"count": total, "page_size": page.size, "record_index": page.index, "_links": links, "_embedded": embedded}


def next_link(call: Call, page: Window, more: bool) -> dict[str, str] | None:
    """The header that tells where an array goes on (RFC 8288), if it does."""
    return {"Link": f'<{_href(call, page, page.index + page.size)}>; rel="next"'} if more else None


def _href(call: Call, page: Window, index: int) -> str:
    return call.links.list(call.path, _query(call.query_string, page.size, index))


@remembered
def _query(query_string: bytes, size: int, index: int) -> str:
    given = {name: value for name, value in parse_query(query_string) if name not in ("page_size", "record_index")}
    return urlencode({"page_size": str(size), "record_index": str(index), **given})
