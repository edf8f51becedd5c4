"""Finding one's place inside a host: which path is meant, and a middleware that mounts the kit in any ASGI application."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote

from starlette.types import Message as Message
from starlette.types import Receive as Receive
from starlette.types import Scope as Scope
from starlette.types import Send as Send

logger = logging.getLogger("conversation_kit")

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""Any framework's application; each has types of its own for the same three arguments."""


class Mountable(Protocol):
    """An ASGI application that is started and stopped, as the middleware mounts it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request below the mount."""

    async def start(self) -> None:
        """Make ready; counted."""

    async def stop(self) -> None:
        """Undo one ``start``."""


def inner_path(path: str, root: str) -> str:
    """Return a request's path below the mount, with its slash, of the ``path`` and the ``root_path`` of its scope.

    By ASGI ``path`` contains ``root_path``. Behind a proxy that strips a prefix some servers (Hypercorn) keep the prefix in
    ``root_path`` alone, so that only the end of ``root_path``, what the host's own mounts added, stands in ``path``.
    """
    while root:
        if path.startswith(root):
            inner = path[len(root) :]
            if not inner or inner[0] == "/":
                return inner or "/"
        cut = root.find("/", 1)
        root = root[cut:] if cut > 0 else ""
    return path or "/"


def from_litestar(scope: Scope) -> Scope:
    """Return the scope as other hosts hand it to what they mount.

    Litestar cuts its mount off ``path``, adds a slash at the end, and puts it nowhere; ``raw_path`` still has all of it.
    """
    inner = scope["path"].rstrip("/")
    raw = scope.get("raw_path")
    if raw is None:
        return {**scope, "path": inner or "/"}
    path = unquote(raw.decode("latin-1"))
    root = scope.get("root_path", "").rstrip("/")
    mount = path.rstrip("/").removesuffix(inner).rstrip("/")
    return {**scope, "path": path, "root_path": mount if mount.startswith(root) else root + mount}


class Middleware:
    """An ASGI application that gives the requests below ``prefix`` to the inner application and everything else to the host.

    The inner application starts before the host and stops after it. If it cannot start, it stops the server's start with its message.
    """

    def __init__(self, host: ASGIApp, prefix: str, inner: Mountable) -> None:
        self._host = host
        self._prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
        self._below = self._prefix + "/"
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(self._host, scope, receive, send)
            return
        root = scope.get("root_path", "")
        path = inner_path(scope["path"], root)
        if scope["type"] in ("http", "websocket") and (path.startswith(self._below) or path == self._prefix):
            await self._inner({**scope, "root_path": root.rstrip("/") + self._prefix}, receive, send)
        else:
            await self._host(scope, receive, send)

    async def _lifespan(self, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the host see the server's lifespan, with the inner application's start before and its stop after it."""
        asked = running = answered = False
        failure: Exception | None = None

        async def host_receive() -> Message:
            nonlocal asked, running, failure
            message = await receive()
            asked = True
            if message["type"] == "lifespan.startup":
                try:
                    await self._inner.start()
                except Exception as error:
                    failure = error
                    raise
                running = True
            return message

        async def host_send(message: Message) -> None:
            nonlocal running, answered
            answered = True
            if running and message["type"] != "lifespan.startup.complete":
                running = False
                message = await self._stop(message)
            await send(message)

        try:
            await host(scope, host_receive, host_send)
        except Exception as error:
            if answered:
                raise
            if asked:
                logger.exception("the application could not start")
                # Not the error that came through the host: some wrap it into a group.
                await send({"type": "lifespan.startup.failed", "message": str(failure or error)})
                return
            logger.debug("the host has no lifespan of its own: %r", error)
        finally:
            if running:
                await self._inner.stop()
        if not answered and not asked:
            await self._lifespan(_agree, scope, receive, send)

    async def _stop(self, message: Message) -> Message:
        """Stop the inner application, and return what to tell the server when the host has said ``message``."""
        try:
            await self._inner.stop()
        except Exception as error:
            logger.exception("the kit could not stop")
            if message["type"] == "lifespan.shutdown.complete":
                return {"type": "lifespan.shutdown.failed", "message": str(error)}
        return message


async def _agree(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the lifespan of a host that has none."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
