"""A core for the server and another one for the load, so that neither takes time from the other."""

from __future__ import annotations

import os
from pathlib import Path

SERVER, LOAD = 0, 1
_THREADS = Path("/proc/self/task")


def pin(which: int) -> None:
    """Keep this process on the first or the second core that it may use, where the system knows how to and has two.

    All threads that it has by now move too.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            threads = [int(thread.name) for thread in _THREADS.iterdir()] if _THREADS.is_dir() else [0]
            for thread in threads:
                os.sched_setaffinity(thread, {cores[which]})
