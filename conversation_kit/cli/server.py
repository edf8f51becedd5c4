"""The server that `serve` and `demo` run on: uvicorn, with limits for clients that nobody knows yet."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from conversation_kit.cli.server_log import ServerLog
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.http.live.websocket import MAX_MESSAGE

CONNECTIONS = 11_000
"""Connections that one process serves at once, and answers 503 beyond: the streams that a kit has by default, and some for requests."""

STOP_SECONDS = 5
"""Seconds for which a stop waits for requests that are under way."""

WORKER_SECONDS = 60
"""Seconds that a worker may take to come up, or to answer its parent. Workers that are killed sooner on a busy machine never come up."""


def find_uvicorn() -> Any:
    """Return the module, or raise ``ConfigurationError`` that says how to install it."""
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise ConfigurationError("serving needs uvicorn: pip install 'conversation-kit[cli]'") from error
    return uvicorn


def server_options() -> dict[str, Any]:
    """Return what uvicorn is started with, whatever it serves. uvicorn must be installed."""
    from conversation_kit.cli.connections import Connection

    # An older uvicorn waits for 5 seconds, and cannot be told otherwise.
    knows = "timeout_worker_healthcheck" in signature(find_uvicorn().Config).parameters
    return {
        **({"timeout_worker_healthcheck": WORKER_SECONDS} if knows else {}),
        "access_log": False,
        "http": Connection,
        "limit_concurrency": CONNECTIONS,
        "timeout_graceful_shutdown": STOP_SECONDS,
        # The kit counts what is unpacked, when it is there. A frame of 16 kB unpacks to 16 MiB.
        "ws_max_size": MAX_MESSAGE,
        "ws_per_message_deflate": False,
    }


def quiet_log() -> None:
    """Keep out of uvicorn's log what belongs into none, in this process."""
    logging.getLogger("uvicorn.error").addFilter(ServerLog())


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen at an address. Raises ``ConfigurationError`` if somebody else does, or if the machine has no such address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"Port {port} is taken by another program: give another one, such as --port {port + 1}.") from error
        raise ConfigurationError(f"Nothing can listen at {host}, port {port}: {error.strerror or error}.") from error
    with listener:
        yield listener
