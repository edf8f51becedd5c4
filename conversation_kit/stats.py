"""Numbers of what a kit has open and waiting in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stats:
    """Numbers of one moment and of one process, for metrics and health checks; making them waits for nothing.

    ``streams`` are connections with live events (SSE and WebSocket), ``listeners`` are these and the subscriptions and feeds in process,
    ``topics`` the conversations that they follow, in ``event_loops`` event loops. ``answer_bytes`` belong to long answers that clients are
    still reading. ``background_jobs`` are receivers with ``background=True`` that run or wait. ``broker_messages`` wait to be sent to
    other processes. ``storage`` has the numbers of the storage, if it is ``Observable``: for ``SQLStorage`` ``reads`` and ``writes``
    that wait or are under way.
    """

    streams: int = 0
    listeners: int = 0
    topics: int = 0
    event_loops: int = 0
    answer_bytes: int = 0
    background_jobs: int = 0
    broker_messages: int = 0
    storage: Mapping[str, int] = field(default_factory=dict)
