"""Base of all hrefs of an API: scheme and host as the client wrote them, and the mount.

``url_for`` and its like resolve against the host application's own routes and are of no use here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


L = TypeVar("L")

LONGEST_HOST = 300
"""Bytes of a Host header whose hrefs are remembered: names have up to 253."""


def links_by_base(make: Callable[[str], L]) -> Callable[[MutableMapping[str, Any]], L]:
    """Return the function that gives the hrefs of a request, which ``make`` makes of their base.

    What it made is remembered, because nearly all requests to a server have the same base.
    """

    @lru_cache(maxsize=256)
    def made(scheme: str, header: bytes, name: str, port: int | None, root: str) -> L:
        return make(_base(scheme, header, name, port, root))

    def links(scope: MutableMapping[str, Any]) -> L:
        header = b""
        for key, value in scope["headers"]:
            if key == b"host":
                header = value
                break
        name, port = scope.get("server") or ("localhost", None)
        # A long one is nobody's, and would be kept.
        find = made if len(header) <= LONGEST_HOST else made.__wrapped__
        return find(scope.get("scheme", "http"), header, name, port, scope.get("root_path", ""))

    return links


def _base(scheme: str, header: bytes, name: str, port: int | None, root: str) -> str:
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    host = header.decode("latin-1")
    if not _HOST.fullmatch(host):
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
        if not _HOST.fullmatch(host):
            host = "localhost"
    return f"{scheme}://{host}{quote(root.rstrip('/'), safe='/~')}"


base_url: Callable[[MutableMapping[str, Any]], str] = links_by_base(str)
"""Scheme, host and mount of a request. A Host header that is none falls back to the server's own address."""
