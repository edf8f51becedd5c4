"""A filter of uvicorn's log: it keeps out tickets, and a line for whatever a stranger sends."""

from __future__ import annotations

import logging
import re
import time
from typing import Final

SECONDS: Final = 60.0
"""Seconds between two lines that strangers cause, at least."""

_TICKET = re.compile(r"(ticket=)[^&\s\"']+")
_HANDSHAKE = re.compile(r'"WebSocket [^"]*"')
_REFUSED = "ASGI callable returned without completing handshake."
_STRANGERS = frozenset({"Invalid HTTP request received.", "Unsupported upgrade request.", "Exceeded concurrency limit."})


class ServerLog(logging.Filter):
    """A filter for the logger ``uvicorn.error``.

    Handshakes of WebSockets are not written, as requests are not without an access log; refused ones are no errors. Of what anybody can
    cause without a token there is one line a minute. Whatever is written has no ticket in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record, and take the tickets out of it."""
        text = record.getMessage()
        if text == _REFUSED or _HANDSHAKE.search(text):
            return False
        if text in _STRANGERS:
            now = time.monotonic()
            if now - self._written.get(text, -SECONDS) < SECONDS:
                return False
            self._written[text] = now
        if "ticket=" in text:
            record.msg, record.args = _TICKET.sub(r"\1...", text), ()
        return True
