"""Clients of live streams that misbehave: bare sockets, which stop reading or go without a word."""

from __future__ import annotations

import socket
import struct
from typing import Self

from tests.faults.listeners import Transport
from tests.support.world import APP, token

SECONDS = 30.0
SEGMENT = 1460
"""What goes into a packet on Ethernet; the loopback's 64 kB would let the system hold back megabytes."""

RECEIVE_BUFFER = 4096
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
CLOSE_FRAME = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
"""A client's, with the code 1000 and a mask of zeros."""


class Peer:
    """A connection that has asked for the stream at ``path`` as an admin."""

    def __init__(self, port: int, path: str, transport: Transport, *, small: bool = False) -> None:
        self.was_cut = False
        """Whether the server's side has ended the connection with all that was on its way."""
        self._closes_by_frame = False
        self._socket = socket.socket()
        self._socket.settimeout(SECONDS)
        if small:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self._socket.connect(("127.0.0.1", port))
        more = UPGRADE if transport == "ws" else "Accept: text/event-stream\r\n"
        self._socket.sendall(
            f"GET /beta{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token(APP)}\r\n{more}\r\n".encode()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def opened(self) -> None:
        """Return when the stream has begun."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(1)
            assert head, "The server has closed the connection."
        assert head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")), head
        self._closes_by_frame = head.startswith(b"HTTP/1.1 101 ")

    def rest(self) -> bytes:
        """Whatever is still to come, until the server closes the connection."""
        chunks = []
        try:
            while chunk := self._socket.recv(65_536):
                chunks.append(chunk)
        except ConnectionResetError:
            self.was_cut = True
        return b"".join(chunks)

    def close(self) -> None:
        """Go in good order, as far as there is one."""
        if self._closes_by_frame:
            self._socket.sendall(CLOSE_FRAME)
            self.rest()
        self._socket.close()

    def vanish(self) -> None:
        """Go so that the server's next write fails."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
