"""Where things are: the only place that builds an href.

Scheme, host and the mount's ``root_path`` come from the request, or all of them from a fixed ``public_url``.
``url_for`` and its like resolve against the host application's own routes and are of no use here.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Links:
    """Hrefs below one base URL, which has no slash at its end."""

    __slots__ = ("base",)

    def __init__(self, base: str) -> None:
        self.base = base

    def conversation(self, conversation_id: str) -> str:
        """A conversation."""
        return f"{self.base}/conversations/{conversation_id}"

    def member(self, conversation_id: str, member_id: str) -> str:
        """A member of a conversation."""
        return f"{self.base}/conversations/{conversation_id}/members/{member_id}"

    def event(self, conversation_id: str, event_id: int | str) -> str:
        """An event of a conversation."""
        return f"{self.base}/conversations/{conversation_id}/events/{event_id}"

    def stream(self, path: str, ticket: str) -> str:
        """The live stream at ``path``, opened with a ticket."""
        return f"{self.base}{path}?ticket={ticket}"

    def user(self, user_id: str) -> str:
        """A user."""
        return f"{self.base}/users/{user_id}"

    def leg(self, leg_id: str) -> str:
        """A leg; its id may come from outside."""
        return f"{self.base}/legs/{quote(leg_id, safe='')}"

    def list(self, path: str, query: str) -> str:
        """A list with the query that it was read with."""
        return f"{self.base}{path}?{query}"


def base_url(scope: MutableMapping[str, Any]) -> str:
    """Scheme, host and mount of a request. A Host header that is none falls back to the server's own address."""
    header = b""
    for key, value in scope["headers"]:
        if key == b"host":
            header = value
            break
    name, port = scope.get("server") or ("localhost", None)
    return _base_url(scope.get("scheme", "http"), header, name, port, scope.get("root_path", ""))


@lru_cache(maxsize=256)
def _base_url(scheme: str, header: bytes, name: str, port: int | None, root: str) -> str:
    # Remembered, because nearly all requests to a server have the same.
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    host = header.decode("latin-1")
    if not _HOST.fullmatch(host):
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
        if not _HOST.fullmatch(host):
            host = "localhost"
    return f"{scheme}://{host}{quote(root.rstrip('/'), safe='/~')}"
