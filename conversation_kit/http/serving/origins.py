"""Origins of pages that may open WebSockets (RFC 6454), and the base URL that a host fixes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.mounting import Scope

_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")


class Origin(NamedTuple):
    """The origin of a page; the port is the scheme's own where none is given."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        """Return it as browsers send it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port == _PORTS.get(self.scheme) else f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin | None:
    """Return the origin of a URL, ``None`` where it has none, as ``null`` and a path have none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not parts.scheme or not host or "@" in parts.netloc or not _PRINTABLE.fullmatch(url):
        return None
    return Origin(parts.scheme, host, _PORTS.get(parts.scheme) if port is None else port)


def check_public_url(url: str) -> str:
    """Return the base of all links, without a slash at its end. Raises ``ConfigurationError`` unless clients could go there."""
    parts = urlsplit(url) if isinstance(url, str) and (origin := origin_of(url)) and origin.scheme in _PORTS else None
    if parts is None or parts.query or parts.fragment or "?" in url or "#" in url:
        raise ConfigurationError(
            f"public_url= takes the URL where clients find the API, with the mount, such as https://chat.example.com/beta; not {url!r}."
        )
    return url.rstrip("/")


def check_allowed(origins: Iterable[str]) -> frozenset[Origin]:
    """Return the origins that a host allows. Raises ``ConfigurationError`` for what no page can be from."""
    if isinstance(origins, (str, bytes)):
        raise ConfigurationError(f"allowed_origins= takes a list, such as ['https://shop.example'], and not {origins!r}.")
    return frozenset(map(_check_one, origins))


def _check_one(text: str) -> Origin:
    if isinstance(text, str) and "*" in text:
        raise ConfigurationError("allowed_origins= names each origin; with '*' any page could act with the cookies of whoever visits it.")
    origin = origin_of(text) if isinstance(text, str) else None
    if origin is None or (rest := urlsplit(text)).path not in ("", "/") or rest.query or rest.fragment or origin.scheme in ("ws", "wss"):
        raise ConfigurationError(f"allowed_origins= takes origins of pages, such as https://shop.example, and not {text!r}.")
    return origin


def check_origin(scope: Scope, base: str, allowed: frozenset[Origin], *, is_public: bool) -> None:
    """Refuse (403) a WebSocket to a page that may have none, for browsers send cookies along whatever page opens it.

    Pages at ``base``, the base of all hrefs, may, and those that the host allows. ``is_public`` says that the host has told that base, and
    it does not follow the request. A request without ``Origin`` is not from a page.
    """
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = origin_of(value.decode("latin-1"))
            if origin is None or (origin not in allowed and not _is_own(origin, base, is_public=is_public)):
                raise HTTPError("stream:error:origin", "Pages of this origin may open no WebSocket here: see allowed_origins.")


def _is_own(origin: Origin, base: str, *, is_public: bool) -> bool:
    # What came over http may have come through a proxy that ended TLS. The reverse does not happen.
    return origin == origin_of(base) or (not is_public and origin == origin_of(re.sub("^http:", "https:", base)))
