"""One conversation as it is followed: events in the order of their ids, whatever the order in which they are announced."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Protocol, TypeAlias, TypeVar

from conversation_kit.domain.errors import RequestError, StreamEnded
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.reading import EventRange

LEFT = "member:left"
"""The type of the events with which a membership ends."""

F = TypeVar("F")
Read: TypeAlias = Callable[[EventRange], Awaitable[EventPage]]

MAX_EARLY = 64
"""Events that came too early and are kept for when their turn comes; what is beyond is read from the log."""


class Published:
    """An event on its way to many subscribers, which share the frames that it is sent in."""

    __slots__ = ("_frames", "event", "next")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.next = None if event.id is None else event.id + 1
        """The position after it, one number for all who keep it; ``None`` when it has none."""
        self._frames: dict[Hashable, Any] = {}

    @property
    def published(self) -> Published:
        """See ``Item.published``."""
        return self

    def frame(self, kind: Hashable, make: Callable[[Event], F]) -> F:
        """Return the event as ``make`` puts it, which is called once for each ``kind``."""
        found: F | None = self._frames.get(kind)
        if found is None:
            found = self._frames[kind] = make(self.event)
        return found


class Subscriber(Protocol):
    """A listener of a topic."""

    user_id: str | None

    def deliver(self, item: Published) -> None:
        """Take the next event; called in the order of ids. Never waits and never raises."""

    def fall_behind(self) -> None:
        """Read on from the log, with one's own rights, before anything else is taken."""

    def end(self, error: StreamEnded | RequestError) -> None:
        """Listen no more."""


class Topic:
    """The listeners of one conversation, in one event loop.

    ``next`` is the id of the event that readers get next, ``None`` while there has been no reader. ``head`` is the highest id that is
    known to be committed. ``read`` reads the log as the application itself.
    """

    def __init__(self, application_id: str, conversation_id: str, read: Read) -> None:
        self.application_id = application_id
        self.conversation_id = conversation_id
        self.read = read
        self.subscribers: dict[Subscriber, None] = {}
        self.next: int | None = None
        self.head = 0
        self._early: dict[int, Published] = {}

    @property
    def has_gap(self) -> bool:
        """Tell whether something is committed that readers have not got: it has to be read from the log if it is not announced soon."""
        return self.next is not None and self.head >= self.next

    def publish(self, event: Event) -> None:
        """Take note of a committed event, and hand out what its turn is. A second time, it does nothing."""
        id = event.id
        if id is None:
            self._deliver(Published(event))
            return
        self.head = max(self.head, id)
        if self.next is None or id < self.next:
            return
        if id > self.next:
            if len(self._early) < MAX_EARLY:
                self._early[id] = Published(event)
            return
        item: Published | None = Published(event)
        while item is not None:
            self.next += 1
            self._deliver(item)
            item = self._early.pop(self.next, None)

    def admits(self, position: int) -> bool:
        """Tell whether a listener that has everything before ``position`` may follow from here on without missing anything."""
        if self.next is None:
            if self.head >= position:
                return False
            self.next = position
        return position >= self.next

    def end(self, error: RequestError) -> None:
        """End everybody's subscription."""
        for subscriber in tuple(self.subscribers):
            subscriber.end(error)

    def _deliver(self, item: Published) -> None:
        subscribers = tuple(self.subscribers)
        for subscriber in subscribers:
            subscriber.deliver(item)
        gone = leaver(item.event) if LEFT in item.event.data else None
        if gone is not None:
            # Who has left reads on with the rights that are left: none, or those of another membership.
            for subscriber in subscribers:
                if subscriber.user_id == gone:
                    subscriber.fall_behind()


def leaver(event: Event) -> str | None:
    """Return the id of the user who leaves with this event, if it is one with which somebody does."""
    return str(event.body["user"]["id"]) if event.type == LEFT else None
