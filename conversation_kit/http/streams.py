"""Live streams over connections of clients: how many there may be, how long each lasts, and what goes through them."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import anyio

from conversation_kit.domain.errors import ConfigurationError, StreamEnded, invalid_cursor
from conversation_kit.domain.principals import Principal
from conversation_kit.http.errors import DoorError
from conversation_kit.http.mounting import Message, Send
from conversation_kit.http.pipes import Pipe
from conversation_kit.http.queries import MAX_INDEX
from conversation_kit.http.stopping import Signals
from conversation_kit.http.tickets import Tickets
from conversation_kit.live.inboxes import Inbox, Item

T = TypeVar("T", bound=Item)
L = TypeVar("L", bound=Item, contravariant=True)

logger = logging.getLogger("conversation_kit")

STUCK_SECONDS = 10.0
"""How long one message may wait for a client to read it."""

GOODBYE_SECONDS = 1.0
"""How long the last message may."""

JITTER = 0.2
"""How much shorter a stream's life may be than the longest, so that not all who came together come again together."""

LINES = 1024
"""How many lines of one kind are kept for further connections: what is the same for all is then in the processor's cache for all."""

_LATER = {"Retry-After": "10"}


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What the streams of one kit may cost.

    ``per_user`` and ``total`` are how many may be open at once, in this process; an admin counts towards ``total`` only.
    ``heartbeat_seconds`` is how often a quiet stream shows that it lives, ``max_age_seconds`` how long it lasts at most; one in five of
    those seconds is left to chance. ``frames_per_second`` is how many frames a client may send over one WebSocket in the long run, and
    five times as many at once. Raises ``ConfigurationError``.
    """

    per_user: int = 20
    total: int = 10_000
    heartbeat_seconds: float = 20.0
    max_age_seconds: float = 3600.0
    frames_per_second: float = 20.0

    def __post_init__(self) -> None:
        for name in ("per_user", "total", "heartbeat_seconds", "max_age_seconds", "frames_per_second"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"StreamLimits takes a {name} of more than 0.")


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a stream ends, by ``time.monotonic``, and why."""

    at: float
    end: StreamEnded

    @property
    def left(self) -> float:
        """Seconds until then, at least 0."""
        return max(self.at - time.monotonic(), 0.0)


class Streams:
    """The open streams of one kit."""

    def __init__(self, limits: StreamLimits, signals: Signals, tickets: Tickets, allowed_origins: Iterable[str] = ()) -> None:
        self.limits = limits
        self.allowed_origins = frozenset(allowed_origins)
        self.tickets = tickets
        self._signals = signals
        self._open: Counter[tuple[str, str | None]] = Counter()
        self._total = 0

    @contextmanager
    def opened(self, principal: Principal) -> Iterator[None]:
        """Count one stream of ``principal`` while the block runs. Raises ``DoorError`` (429, 503) when there are too many."""
        user = (principal.application_id, principal.user_name)
        if principal.user_name is not None and self._open[user] >= self.limits.per_user:
            raise DoorError("stream:error:too-many", f"You have {self.limits.per_user} streams open: close one first.", _LATER)
        if self._total >= self.limits.total:
            raise DoorError("stream:error:capacity", "This server has as many streams open as it may have.", _LATER)
        self._open[user] += 1
        self._total += 1
        self._signals.watch()
        try:
            yield
        finally:
            self._total -= 1
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user]
            if not self._total:
                self._signals.unwatch()

    def deadline(self, principal: Principal, now: datetime) -> Deadline:
        """When and why a stream that begins now ends at latest."""
        age = self.limits.max_age_seconds * (1 - JITTER * random.random())
        end = StreamEnded("This stream is old: go on after the last id that you got.", "stream:error:aged", is_stop=True)
        if principal.expires_at is not None and (left := (principal.expires_at - now).total_seconds()) < age:
            age, end = left, StreamEnded("The token has expired: get a new one.", "system:error:expired-token")
        return Deadline(time.monotonic() + age, end)


class Line(Protocol[L]):
    """How events go over one kind of connection."""

    def hello(self) -> Iterable[Message]:
        """The first messages."""
        ...

    def one(self, item: L) -> Message:
        """The message for one event."""
        ...

    def many(self, items: Sequence[L]) -> Iterable[Message]:
        """The messages for several events."""
        ...

    def heartbeat(self) -> Message:
        """What shows that the connection lives."""
        ...

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """The last messages."""
        ...


class Outlet(Pipe, Generic[T]):
    """A connection that events go through as its ``line`` has them."""

    __slots__ = ("line",)

    def __init__(self, send: Send, wake: Callable[[], None], line: Line[T]) -> None:
        super().__init__(send, wake)
        self.line = line

    def deliver(self, item: T) -> bool:
        """See ``Inbox.write``."""
        return self.write_now(self.line.one(item))


async def pump(inbox: Inbox[T], outlet: Outlet[T], deadline: Deadline, heartbeat_seconds: float) -> None:
    """Write what arrives to a connection until either has an end."""
    inbox.write = outlet.deliver
    try:
        try:
            await _write_all(inbox, outlet, deadline, heartbeat_seconds)
        except StreamEnded as reason:
            with anyio.move_on_after(GOODBYE_SECONDS):
                await outlet.write_last(outlet.line.goodbye(reason))
    except OSError as error:
        logger.debug("a client of a live stream has gone: %r", error)
    finally:
        inbox.write = None
        outlet.close()


async def _write_all(inbox: Inbox[T], outlet: Outlet[T], deadline: Deadline, heartbeat_seconds: float) -> None:
    """Write until the client has taken nothing for too long. Raises ``StreamEnded``, and ``OSError`` when the client has gone."""
    line = outlet.line
    messages = line.hello()
    while True:
        with anyio.move_on_after(min(STUCK_SECONDS, max(deadline.left, GOODBYE_SECONDS))) as limit:
            await outlet.finish()
            for message in messages:
                await outlet.write(message)
        if limit.cancelled_caught and deadline.left:
            return  # who does not read does not read why either
        items: Sequence[T] | None = None
        with anyio.move_on_after(min(heartbeat_seconds, deadline.left)):
            items = await inbox.take()
        if not deadline.left:
            raise deadline.end
        messages = [line.heartbeat()] if items is None else line.many(items)


def position(query: Mapping[str, str], last_event_id: str | None) -> int | None:
    """After which event a client wants to go on: by ``Last-Event-ID``, which a browser sends when it comes again, or by ``after``.

    ``None`` when it says nothing. Raises ``invalid_cursor``.
    """
    text = last_event_id or query.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MAX_INDEX):
        raise invalid_cursor(text)
    return int(text)
