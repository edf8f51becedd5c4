"""The set-up of logging, which some hosts change for the whole process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_logging() -> Iterator[None]:
    """Let what the block sets up last no longer than the block: a level of all loggers, and handlers of what they write."""
    root = logging.getLogger()
    level, handlers = root.level, tuple(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in tuple(root.handlers):
            if handler not in handlers:
                root.removeHandler(handler)
