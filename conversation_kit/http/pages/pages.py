"""Pages that the mount serves beside the API: an index, the OpenAPI document and a page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from html import escape
from importlib.resources import files

from conversation_kit.http.pages.openapi import document
from conversation_kit.http.serving.api import API
from conversation_kit.http.serving.response import Response

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<script src="docs/colors.js"></script>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/colors.css">
</head>
<body>
<main id="page" data-document="openapi.json"></main>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_FILES = {
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/colors.css": "text/css; charset=utf-8",
    "/docs/colors.js": "text/javascript; charset=utf-8",
    "/docs/start.js": "text/javascript; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Pages:
    """Public: none of it tells more than the documentation does."""

    def __init__(self, api: API) -> None:
        self._api = api
        self.by_path: dict[str, Callable[[str], Response]] = {
            "/": self._index,
            "/openapi.json": self._document,
            "/docs": self._docs,
            **{path: _file(path) for path in _FILES},
        }
        """Makers of pages, by their paths, each of which takes the base of all hrefs."""

    def _index(self, base: str) -> Response:
        return Response.json(
            {
                "title": self._api.title,
                "version": self._api.version,
                "_links": {
                    "self": {"href": base},
                    "describedby": {"href": f"{base}/openapi.json"},
                    "help": {"href": f"{base}/docs"},
                },
            }
        )

    def _document(self, base: str) -> Response:
        return Response.json(document(self._api, server=base))

    def _docs(self, base: str) -> Response:
        # Its addresses are relative: what a browser calls the server is the browser's own business.
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        page = _PAGE.replace("{title}", escape(self._api.title))
        return Response(page.encode(), headers=headers, content_type="text/html; charset=utf-8")


def _file(path: str) -> Callable[[str], Response]:
    def serve(base: str) -> Response:
        headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return Response(_read(path.rpartition("/")[2]), headers=headers, content_type=_FILES[path])

    return serve


@lru_cache(maxsize=len(_FILES))
def _read(name: str) -> bytes:
    return files("conversation_kit.http").joinpath("swagger_ui", name).read_bytes()
