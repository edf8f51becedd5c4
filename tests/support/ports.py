"""Ports for servers that have to be told theirs before they start."""

from __future__ import annotations

import os
import random
import socket

EACH = 500
"""How many ports each process that runs tests has for itself, beginning with 20,000."""


def free_port() -> int:
    """A port that nobody listens on, from a range out of which no system takes ports for outgoing connections.

    Nor does any other process of this test run, so that it is still free when the server comes to it.
    """
    first = 20_000 + EACH * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 20)
    while True:
        port = random.randrange(first, first + EACH)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
