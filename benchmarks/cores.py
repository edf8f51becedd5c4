"""A core for the server and another one for the load, so that neither takes time from the other."""

from __future__ import annotations

import os

SERVER, LOAD = 0, 1


def pin(which: int) -> None:
    """Keep this process on the first or the second core that it may use, where the system knows how to and has two."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[which]})
