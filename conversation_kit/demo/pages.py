"""The demo's pages: files of this package, without a build step."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

PAGES: Final = {"/": "index.html", "/pair": "pair.html", "/chat": "chat.html", "/operator": "operator.html"}
TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HEADERS: Final = {
    # Nothing inline, nothing of others; frames are for two people in one window.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # A page and its modules are of one version.
    "Cache-Control": "no-cache",
}


def routes() -> list[BaseRoute]:
    """Return the pages at the root, and what they are made of below ``/static``."""
    folder = files("conversation_kit.demo") / "static"
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if _ending(file.name) in TYPES}

    def served(name: str) -> Response:
        return Response(contents[name], headers=HEADERS, media_type=TYPES[_ending(name)])

    async def page(request: Request) -> Response:
        return served(PAGES[request.scope["path"]])

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        return served(name) if name in contents else PlainTextResponse("There is no such file.\n", 404)

    return [*(Route(path, page) for path in PAGES), Route("/static/{name}", static)]


def _ending(name: str) -> str:
    return name.rpartition(".")[2]
