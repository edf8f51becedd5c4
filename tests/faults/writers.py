"""Clients that post events by the thousand: a connection each, and next to nothing around what is sent."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.support.world import APP, token

MAX_HEAD = 65_536


class Gone(Exception):
    """The server has closed the connection: nobody knows whether what was sent last is stored."""


class Writer:
    """An admin's connection."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._answers = BufferedByteReceiveStream(stream)

    async def say(self, conversation_id: str, text: str) -> int:
        """Post a text, and return the id of its event. Raises ``Gone``."""
        body = json.dumps({"type": "text", "body": {"text": text}})
        head = (
            f"POST /beta/conversations/{conversation_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token(APP)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            await self._stream.send(f"{head}{body}".encode())
            answer = await self._answers.receive_until(b"\r\n\r\n", MAX_HEAD)
            length = re.search(rb"(?i)content-length: (\d+)", answer)
            assert length, answer
            content = await self._answers.receive_exactly(int(length[1]))
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead) as error:
            raise Gone from error
        assert answer.startswith(b"HTTP/1.1 201 "), content
        return int(json.loads(content)["id"])


@asynccontextmanager
async def writer(url: str) -> AsyncIterator[Writer]:
    """A new connection to the server at ``url``. Raises ``Gone``."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    try:
        stream = await anyio.connect_tcp(place.hostname, place.port)
    except OSError as error:
        raise Gone from error
    async with stream:
        yield Writer(stream)
