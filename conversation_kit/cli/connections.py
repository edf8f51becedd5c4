"""Connections of ``conversation-kit serve``. Needs uvicorn."""

from __future__ import annotations

import socket
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SILENT_SECONDS = 30.0
"""Seconds for which a client may take nothing of what is sent to it, before its connection is cut."""

HEAD_SECONDS = 10.0
"""Seconds that a client has for the head of a request; it may get as much again."""

HEAD_BYTES = 65_536
"""Bytes that a request's head may have."""

UNREAD_BYTES = 2_000_000
"""Bytes that a client may go on to send of a body that nobody waits for any more, because its request is answered."""


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's own, and cut where a client keeps it for nothing: does not read, or never comes to the end of a request's head.

    That it does not read is noticed only where the system can do that, as Linux can.
    """

    def connection_made(self, transport: Any) -> None:
        """Tell the system how long it is to wait, and begin to wait."""
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(SILENT_SECONDS * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._head = 0
        self._look(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give it to the parser, and count what it cannot make a request of yet."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is before and (before is None or before.response_complete):
            self._head += len(data)
            if self._head > (UNREAD_BYTES if before is not None and before.more_body else HEAD_BYTES):
                self.transport.close()
        else:
            self._head = 0

    def _look(self, unfinished: object) -> None:
        """Look at the connection every ``HEAD_SECONDS``; cut it if a head has not come to its end in all that time.

        Costs a request nothing. ``unfinished`` is what came before the head that was unfinished at the last look, if one was.
        """
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # a WebSocket goes by rules of its own
        idle = self.timeout_keep_alive_task is not None
        before = self if self.cycle is None else self.cycle
        waits = not idle and (before is self or before.response_complete)
        if waits and before is unfinished:
            self.transport.close()
            return
        self._timer = self.loop.call_later(HEAD_SECONDS, self._look, before if waits else None)
