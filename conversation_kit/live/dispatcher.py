"""Listeners of one event loop, and the one task that reads the log for them when announcements do not come, or not in order."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Protocol, TypeAlias

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import NotFound, StorageUnavailable, StreamEnded, conversation_not_found, stopping
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import MAX_PAGE, EventRange
from conversation_kit.domain.signals import ConversationDeleted, EventCreated, Signal, UserDeleted, UserUpdated
from conversation_kit.domain.values.epochs import other_log
from conversation_kit.live.ephemeral import EphemeralCodec
from conversation_kit.live.topics import Subscriber, Topic
from conversation_kit.live.user_watchers import UserWatchers
from conversation_kit.loops import Loop
from conversation_kit.ports import Broker, BrokerMessage, EphemeralEvent, LogAdvanced

logger = logging.getLogger("conversation_kit")

POLL_SECONDS = 0.6
"""Seconds between looks at how far the logs go, at the next tick: the time for which an event of another process can stay unnoticed where
nobody announces it, and so can the end of somebody's access."""

TICK_SECONDS = 0.25
READ_SECONDS = 5.0
LISTEN_AGAIN_SECONDS = 1.0
PAGE = 100
ABREAST = 32
"""Topics whose logs are read at once."""

REMEMBERED = 1_000
"""Ephemeral events by which it is known that they come again."""

MAX_FROM_ELSEWHERE = 1_000
"""Commits of other event loops of the process that may wait until this one has time; of those beyond, the log tells."""

AT_ONCE = 256
"""Topics of which it is asked at once whether there is anything to read."""

Numbers: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Mapping[str, int]]]
"""``Storage.sequence_numbers`` as of now."""

Epochs: TypeAlias = Callable[[], Awaitable[str]]
"""``Restorable.epoch``."""


MEMBERSHIP = frozenset({"member:invited", "member:joined", "member:left"})
"""The types of the events after which somebody's conversations are others."""

MEMBERSHIPS_SECONDS = 1.0
"""Seconds between two looks at the conversations of those who listen to all of theirs, where nobody announces anything."""

OWNERS_SECONDS = 5.0
"""Seconds between looks at whether listeners to one conversation still are users of that name, where nobody announces anything."""


class Listener(Protocol):
    """A listener that one event loop serves, with a task group in which something can run for all of them."""

    group: TaskGroup
    epoch: str | None
    """The epoch of the log that it reads; ``None`` until it knows."""

    def end(self, error: StreamEnded) -> None:
        """Listen no more."""


class Dispatcher:
    """The listeners of one event loop.

    One of them has tasks running in its group that read the log, look around and hear the broker; when it goes, another one gets them. So
    nothing runs when nobody listens, and nothing needs a lifespan.
    """

    def __init__(self, numbers: Numbers, epoch: Epochs, broker: Broker | None, ephemeral_events: EphemeralCodec) -> None:
        self._numbers = numbers
        self._epoch_now = epoch
        self._epoch: str | None = None
        self._broker = broker
        self._ephemeral_events = ephemeral_events
        self.topics: dict[tuple[str, str | None] | None, Topic] = {}
        self.listeners: dict[Listener, None] = {}
        self.memberships = UserWatchers(MEMBERSHIPS_SECONDS)
        """The listeners to all of their conversations."""
        self.owners = UserWatchers(OWNERS_SECONDS)
        """The listeners to one conversation."""
        self.is_ending = False
        self.gone = anyio.Event()
        self._listener: Listener | None = None
        self._due: set[Topic] = set()
        self._nudge = anyio.Event()
        self._failed = False
        self._polled = time.monotonic()
        self._whispered: OrderedDict[str, None] = OrderedDict()
        self._loop = Loop()
        self._from_elsewhere: deque[tuple[Sequence[Signal], Sequence[BrokerMessage]]] = deque(maxlen=MAX_FROM_ELSEWHERE)
        self._lock = Lock()

    def enter(self, listener: Listener) -> None:
        """See ``Bus.enter``."""
        self.listeners[listener] = None
        if self._listener is None:
            self._appoint(listener)

    def leave(self, listener: Listener) -> None:
        """See ``Bus.leave``."""
        del self.listeners[listener]
        if self._listener is listener:
            self._listener = None
            for other in self.listeners:
                self._appoint(other)
                break
        if not self.listeners:
            self.gone.set()

    def follow(self, make: Callable[[], Topic], subscriber: Subscriber) -> Topic:
        """Let ``subscriber`` hear what is published; ``make`` makes its topic if there is none yet."""
        topic = make()
        topic = self.topics.setdefault((topic.application_id, topic.conversation_id), topic)
        topic.subscribers[subscriber] = None
        return topic

    def unfollow(self, topic: Topic, subscriber: Subscriber) -> None:
        """Undo ``follow``."""
        del topic.subscribers[subscriber]
        key = topic.application_id, topic.conversation_id
        if not topic.subscribers and self.topics.get(key) is topic:
            del self.topics[key]

    async def look_at_epoch(self) -> str:
        """Return the epoch of the log as it is now. When it is another one than before, listeners of the old log have to read again."""
        epoch = await self._epoch_now()
        if epoch != self._epoch:
            self._epoch = epoch
            self.topics = {}
            for listener in tuple(self.listeners):
                if listener.epoch not in (None, epoch):
                    listener.end(other_log())
        return epoch

    def publish(self, signals: Sequence[Signal]) -> None:
        """See ``Bus.publish``."""
        for signal in signals:
            if isinstance(signal, EventCreated):
                event = signal.event
                topic = self.topics.get((event.application_id, event.conversation_id))
                if topic is not None:
                    topic.publish(event)
                    if topic.has_gap:
                        self._read_soon(topic)
                if self.memberships and event.type in MEMBERSHIP:
                    self.memberships.tell(event.application_id, event.body["user"]["id"])
            elif isinstance(signal, ConversationDeleted):
                topic = self.topics.get((signal.application_id, signal.conversation.id))
                if topic is not None:
                    topic.end(conversation_not_found())
            elif isinstance(signal, UserUpdated | UserDeleted):
                self._tell(signal.application_id, signal.user.id)

    def concerns(self, signals: Sequence[Signal]) -> bool:
        """Tell whether anybody here listens to anything of what these tell. Any thread may ask."""
        for signal in signals:
            if isinstance(signal, EventCreated):
                event = signal.event
                if (event.application_id, event.conversation_id) in self.topics or (self.memberships and event.type in MEMBERSHIP):
                    return True
            elif isinstance(signal, ConversationDeleted):
                if (signal.application_id, signal.conversation.id) in self.topics:
                    return True
            elif isinstance(signal, UserUpdated | UserDeleted) and (self.memberships or self.owners):
                return True
        return False

    def tell(self, signals: Sequence[Signal], messages: Sequence[BrokerMessage]) -> None:
        """Publish what another event loop of this process has committed, and ignore ``messages`` of it. Any thread may call this."""
        with self._lock:
            is_first = not self._from_elsewhere
            self._from_elsewhere.append((signals, messages))
        if is_first:
            self._loop.call_soon(self._take_from_elsewhere)

    def _take_from_elsewhere(self) -> None:
        with self._lock:
            told = tuple(self._from_elsewhere)
            self._from_elsewhere.clear()
        for signals, messages in told:
            self.has_heard(messages)
            self.publish(signals)

    def hear(self, one: BrokerMessage) -> None:
        """Somebody says that there is something to read, or passes on what cannot be read."""
        if isinstance(one, LogAdvanced):
            self._hear_of(one)
        elif one.id not in self._whispered:
            self.has_heard((one,))
            topic = self.topics.get((one.application_id, one.conversation_id))
            event = self._ephemeral_events.event(one) if topic is not None else None
            if topic is not None and event is not None:
                topic.publish(event)

    def has_heard(self, messages: Sequence[BrokerMessage]) -> None:
        """Ignore these ephemeral events when they come, maybe again."""
        for one in messages:
            if isinstance(one, EphemeralEvent):
                self._whispered[one.id] = None
                if len(self._whispered) > REMEMBERED:
                    self._whispered.popitem(last=False)

    def _hear_of(self, wake: LogAdvanced) -> None:
        # Nothing but reading follows from it, so it may be wrong.
        topic = self.topics.get((wake.application_id, wake.conversation_id))
        if topic is not None and topic.next is not None and wake.last_id >= topic.next:
            self._read_soon(topic)
        for user_id in wake.user_ids:
            self._tell(wake.application_id, user_id)

    def end(self, error: StreamEnded) -> None:
        """End all of them."""
        for listener in tuple(self.listeners):
            listener.end(error)

    def _tell(self, application_id: str, user_id: str) -> None:
        self.memberships.tell(application_id, user_id)
        self.owners.tell(application_id, user_id)

    def _read_soon(self, topic: Topic) -> None:
        self._due.add(topic)
        self._nudge.set()

    def _appoint(self, listener: Listener) -> None:
        self._listener = listener
        listener.group.start_soon(self._follow_the_log, listener)
        listener.group.start_soon(self._look_around, listener)
        if self._broker is not None:
            listener.group.start_soon(self._hear_others, self._broker, listener)

    async def _hear_others(self, broker: Broker, listener: Listener) -> None:
        while self._listener is listener:
            try:
                await broker.listen(self.hear)
            except Exception as error:
                logger.warning("the broker is not heard, so that events of other processes come later: %r", error)
            await anyio.sleep(LISTEN_AGAIN_SECONDS)

    async def _follow_the_log(self, listener: Listener) -> None:
        """Read what is missing when it is known to be."""
        while self._listener is listener:
            with anyio.move_on_after(TICK_SECONDS):
                await self._nudge.wait()
                self._nudge = anyio.Event()
            if self.is_ending:
                self.is_ending = False
                self.end(stopping())
            due, self._due = self._due, set()
            topics = [topic for topic in due if topic.next is not None]
            for first in range(0, len(topics), ABREAST):
                async with anyio.create_task_group() as group:
                    for topic in topics[first : first + ABREAST]:
                        group.start_soon(self.read, topic)

    async def _look_around(self, listener: Listener) -> None:
        """Find once in a while what nobody announces. What is announced does not wait for that."""
        while self._listener is listener:
            await anyio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self.memberships.look_after(now)
            self.owners.look_after(now)
            if now - self._polled >= POLL_SECONDS:
                self._polled = now
                with self._in_trouble("the epoch"), anyio.move_on_after(READ_SECONDS):
                    await self.look_at_epoch()
                await self._look_at_all()

    async def _look_at_all(self) -> None:
        """Find the topics where there is something to read, and end those whose conversation is gone."""
        followed: dict[str, list[Topic]] = {}
        for topic in self.topics.values():
            if topic.next is not None:
                followed.setdefault(topic.application_id, []).append(topic)
        for application_id, topics in followed.items():
            for first in range(0, len(topics), AT_ONCE):
                some = topics[first : first + AT_ONCE]
                with self._in_trouble(f"{len(some)} conversations"), anyio.move_on_after(READ_SECONDS):
                    numbers = await self._numbers(application_id, [topic.conversation_id for topic in some])
                    for topic in some:
                        number = numbers.get(topic.conversation_id)
                        if number is None:
                            topic.end(conversation_not_found())
                        elif topic.next is not None and number >= topic.next:
                            self._read_soon(topic)

    async def read(self, topic: Topic) -> None:
        """Publish what the log has and the topic has not."""
        with self._in_trouble(topic.conversation_id), anyio.move_on_after(READ_SECONDS):
            try:
                while topic.next is not None and topic.subscribers:
                    page = await topic.read(EventRange(size=PAGE, start_id=topic.next, max_bytes=MAX_PAGE))
                    for id, data in page.rows:
                        topic.publish(Event(page.application_id, page.conversation_id, id, data))
                    if len(page.ids) < PAGE and not page.is_cut:
                        return
            except NotFound as error:
                topic.end(error)

    @contextmanager
    def _in_trouble(self, what: str) -> Iterator[None]:
        """Leave what cannot be read to the next occasion; of a storage that cannot answer for a while there is one warning."""
        try:
            yield
            self._failed = False
        except StorageUnavailable as error:
            if not self._failed:
                logger.warning("live streams wait for the storage: %s", error)
            self._failed = True
        except Exception:
            logger.exception("the log of %s could not be read for its subscribers", what)
