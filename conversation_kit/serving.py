"""How ``conversation-kit serve`` keeps its connections. Needs uvicorn."""

from __future__ import annotations

import socket
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SILENT_SECONDS = 30.0
"""How long a client may take nothing of what is sent to it, before its connection is cut."""


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's own, which is cut where the client neither reads nor closes: otherwise it would keep what waits in it for ever.

    Only where the system can do that, as Linux can.
    """

    def connection_made(self, transport: Any) -> None:
        """Tell the system how long it is to wait."""
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(SILENT_SECONDS * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
