"""Base of all hrefs of an API: scheme and host as the client wrote them, and the mount.

``url_for`` and its like resolve against the host application's own routes and are of no use here.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

LONGEST_HOST = 300
"""Bytes of a Host header: names have up to 253."""


def base_url(scheme: str, header: bytes, name: str, port: int | None, root: str) -> str:
    """Return scheme, host and mount of a request, of its ``Host`` header, its server's name and port, and its ``root_path``.

    A header that is none falls back to the server's own address.
    """
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    host = header.decode("latin-1")
    if not _HOST.fullmatch(host) or len(host) > LONGEST_HOST:
        name = f"[{name}]" if ":" in name else name
        host = name if port is None else f"{name}:{port}"
        if not _HOST.fullmatch(host):
            host = "localhost"
    return f"{scheme}://{host}{quote(root.rstrip('/'), safe='/~')}"
