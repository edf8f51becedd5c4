"""What the mount serves beside the API: an index, the OpenAPI document and a page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files

from conversation_kit.http.links import Links
from conversation_kit.http.openapi import document
from conversation_kit.http.operations import Operation
from conversation_kit.http.responses import Answer

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Conversation API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
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
    "/docs/start.js": "text/javascript; charset=utf-8",
}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"


class Pages:
    """Public: none of it tells more than the documentation does."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._operations = operations
        self._pages: dict[str, Callable[[Links], Answer]] = {
            "/": self._index,
            "/openapi.json": self._document,
            "/docs": _docs,
            **{path: _file(path) for path in _FILES},
        }

    def find(self, method: str, path: str, links: Links) -> Answer | None:
        """The page at ``path``, ``None`` if there is none or it is not asked for with GET or HEAD."""
        page = self._pages.get(path)
        return page(links) if page is not None and method in ("GET", "HEAD") else None

    def _index(self, links: Links) -> Answer:
        return Answer.json(
            {
                "title": "Conversation API",
                "version": "1.6.0",
                "_links": {
                    "self": {"href": links.base},
                    "describedby": {"href": f"{links.base}/openapi.json"},
                    "help": {"href": f"{links.base}/docs"},
                },
            }
        )

    def _document(self, links: Links) -> Answer:
        return Answer.json(document(self._operations, server=links.base))


def _docs(links: Links) -> Answer:
    # Its addresses are relative: what a browser calls the server is the browser's own business.
    headers = {"Content-Security-Policy": _POLICY}
    return Answer(_PAGE.encode(), headers=headers, content_type="text/html; charset=utf-8")


def _file(path: str) -> Callable[[Links], Answer]:
    def serve(links: Links) -> Answer:
        headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return Answer(_read(path.rpartition("/")[2]), headers=headers, content_type=_FILES[path])

    return serve


@lru_cache(maxsize=len(_FILES))
def _read(name: str) -> bytes:
    return files("conversation_kit.http").joinpath("swagger_ui", name).read_bytes()
