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
from typing import Any, Generic, Protocol, TypeVar

import anyio

from conversation_kit.domain.errors import ConfigurationError, StreamEnded, invalid_cursor
from conversation_kit.domain.principals import Principal
from conversation_kit.http.live.direct_send import DirectSender
from conversation_kit.http.live.shutdown import ShutdownWatch
from conversation_kit.http.live.tickets import Tickets
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.mounting import Message, Send
from conversation_kit.http.serving.origins import check_allowed
from conversation_kit.http.serving.query import MAX_INDEX
from conversation_kit.http.serving.request import Request
from conversation_kit.live.buffer import Buffer, Item

T = TypeVar("T", bound=Item)
L = TypeVar("L", bound=Item, contravariant=True)

logger = logging.getLogger("conversation_kit")

STUCK_SECONDS = 10.0
"""Seconds that one message may wait for a client to read it."""

GOODBYE_SECONDS = 1.0
"""Seconds that the last message may wait."""

JITTER = 0.2
"""Share by which a stream's life may be shorter than the longest, so that not all who came together come again together."""

WIRE_FORMATS = 1024
"""Number of lines of one kind that are kept for further connections: what is the same for all is then in the processor's cache for all."""

_LATER = {"Retry-After": "10"}


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits of the live streams of one kit.

    ``per_user``, ``per_application`` and ``total`` are how many may be open at once, in this process: by one user, by all users of one
    application, and by everybody. An admin counts towards ``total`` only.
    ``heartbeat_seconds`` is how often a quiet stream shows that it lives, ``max_age_seconds`` how long it lasts at most; one in five of
    those seconds is left to chance. ``frames_per_second`` is how many frames a client may send over one WebSocket in the long run, and
    five times as many at once. Raises ``ConfigurationError``.
    """

    per_user: int = 20
    per_application: int | None = None
    total: int = 10_000
    heartbeat_seconds: float = 20.0
    max_age_seconds: float = 3600.0
    frames_per_second: float = 20.0

    def __post_init__(self) -> None:
        for name in ("per_user", "per_application", "total", "heartbeat_seconds", "max_age_seconds", "frames_per_second"):
            value = getattr(self, name)
            if not (value is None and name == "per_application") and not value > 0:
                raise ConfigurationError(f"StreamLimits takes a {name} of more than 0.")


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of a stream: its time, by ``time.monotonic``, and the reason."""

    at: float
    end: StreamEnded

    @property
    def left(self) -> float:
        """Seconds until then, at least 0."""
        return max(self.at - time.monotonic(), 0.0)


class Streams:
    """The open streams of one kit."""

    def __init__(self, limits: StreamLimits, shutdown: ShutdownWatch, tickets: Tickets, allowed_origins: Iterable[str] = ()) -> None:
        self.limits = limits
        self.allowed_origins = check_allowed(allowed_origins)
        self.tickets = tickets
        self._shutdown = shutdown
        self._open: Counter[tuple[str, str | None]] = Counter()
        self._by_application: Counter[str | None] = Counter()
        """Of the users of each application; of admins under ``None``."""
        self.total = 0

    @classmethod
    def of(cls, request: Request[Any]) -> Streams:
        """Return those of the kit that ``request`` came to."""
        return request.mount.part(cls)

    @contextmanager
    def opened(self, principal: Principal) -> Iterator[None]:
        """Count one stream of ``principal`` while the block runs. Raises ``HTTPError`` (429, 503) when there are too many."""
        user = (principal.application_id, principal.user_name)
        application = principal.application_id if principal.user_name is not None else None
        if application is not None and self._open[user] >= self.limits.per_user:
            raise HTTPError("stream:error:too-many", f"You have {self.limits.per_user} streams open: close one first.", _LATER)
        if application is not None and self._is_full(application):
            raise HTTPError("stream:error:too-many", "The users of this application have as many streams open as they may have.", _LATER)
        if self.total >= self.limits.total:
            raise HTTPError("stream:error:capacity", "This server has as many streams open as it may have.", _LATER)
        self._open[user] += 1
        self._by_application[application] += 1
        self.total += 1
        self._shutdown.watch()
        try:
            yield
        finally:
            self.total -= 1
            self._open[user] -= 1
            self._by_application[application] -= 1
            if not self._open[user]:
                del self._open[user]
            if not self._by_application[application]:
                del self._by_application[application]
            if not self.total:
                self._shutdown.unwatch()

    def _is_full(self, application_id: str) -> bool:
        most = self.limits.per_application
        return most is not None and self._by_application[application_id] >= most

    def deadline(self, principal: Principal, now: datetime) -> Deadline:
        """Return when, and why, a stream that begins now ends at the latest."""
        age = self.limits.max_age_seconds * (1 - JITTER * random.random())
        end = StreamEnded("This stream is old: go on after the last id that you got.", "stream:error:aged", is_stop=True)
        if principal.expires_at is not None and (left := (principal.expires_at - now).total_seconds()) < age:
            age, end = left, StreamEnded("The token has expired: get a new one.", "system:error:expired-token")
        return Deadline(time.monotonic() + age, end)


class WireFormat(Protocol[L]):
    """Wire format of one kind of connection."""

    def hello(self) -> Iterable[Message]:
        """Return the first messages."""
        ...

    def one(self, item: L) -> Message:
        """Return the message for one event."""
        ...

    def many(self, items: Sequence[L]) -> Iterable[Message]:
        """Return the messages for several events."""
        ...

    def heartbeat(self) -> Message:
        """Return what shows that the connection lives."""
        ...

    def goodbye(self, end: StreamEnded) -> Iterable[Message]:
        """Return the last messages."""
        ...


class StreamWriter(DirectSender, Generic[T]):
    """A connection that events go through as its ``wire`` has them."""

    __slots__ = ("wire",)

    def __init__(self, send: Send, wake: Callable[[], None], wire: WireFormat[T]) -> None:
        super().__init__(send, wake)
        self.wire = wire

    def deliver(self, item: T) -> bool:
        """See ``Buffer.writing``."""
        return self.write_now(self.wire.one(item))


async def pump(buffer: Buffer[T], writer: StreamWriter[T], deadline: Deadline, heartbeat_seconds: float) -> None:
    """Write what arrives to a connection until either has an end."""
    try:
        with buffer.writing(writer.deliver):
            try:
                await _write_all(buffer, writer, deadline, heartbeat_seconds)
            except StreamEnded as reason:
                with anyio.move_on_after(GOODBYE_SECONDS):
                    await writer.write_last(writer.wire.goodbye(reason))
    except OSError as error:
        logger.debug("a client of a live stream has gone: %r", error)
    finally:
        writer.close()


async def _write_all(buffer: Buffer[T], writer: StreamWriter[T], deadline: Deadline, heartbeat_seconds: float) -> None:
    """Write until the client has taken nothing for too long. Raises ``StreamEnded``, and ``OSError`` when the client has gone."""
    wire = writer.wire
    messages = wire.hello()
    while True:
        with anyio.move_on_after(min(STUCK_SECONDS, max(deadline.left, GOODBYE_SECONDS))) as limit:
            await writer.finish()
            for message in messages:
                await writer.write(message)
        if limit.cancelled_caught and deadline.left:
            return  # who does not read does not read why either
        items: Sequence[T] | None = None
        with anyio.move_on_after(min(heartbeat_seconds, deadline.left)):
            items = await buffer.take()
        if not deadline.left:
            raise deadline.end
        messages = [wire.heartbeat()] if items is None else wire.many(items)


def position(query: Mapping[str, str], last_event_id: str | None) -> int | str | None:
    """After which event a client wants to go on: by ``Last-Event-ID``, which a browser sends when it comes again, or by ``after``.

    An id, a cursor as ``parse_cursor`` takes it, or ``None`` when it says nothing. Raises ``invalid_cursor``.
    """
    text = last_event_id or query.get("after")
    if text is None:
        return None
    if "-" in text[1:]:
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MAX_INDEX):
        raise invalid_cursor(text)
    return int(text)
