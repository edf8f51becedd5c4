"""Those who listen in one event loop, and the one task that reads the log for them where announcements do not come, or not in order."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import nsmallest
from operator import attrgetter
from typing import Protocol, TypeAlias

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import NotFound, StorageUnavailable, StreamEnded, conversation_not_found, stopping
from conversation_kit.domain.event_types import is_ephemeral
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.signals import ConversationDeleted, EventCreated, Signal
from conversation_kit.live.topics import Subscriber, Topic
from conversation_kit.ports import Broker, News, Wake, Whisper

logger = logging.getLogger("conversation_kit")

POLL_SECONDS = 0.6
"""How often it is looked how far the logs go, at the next tick: the time for which an event of another process can stay unnoticed where
nobody announces it, and so can the end of somebody's access."""

TICK_SECONDS = 0.25
READ_SECONDS = 5.0
LISTEN_AGAIN_SECONDS = 1.0
PAGE = 100
ABREAST = 32
"""Topics whose logs are read at once."""

REMEMBERED = 1_000
"""Whispers by which it is known that they come again."""

AT_ONCE = 256
"""Topics of which it is asked at once whether there is anything to read."""

Numbers: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Mapping[str, int]]]
"""``Storage.sequence_numbers`` as of now."""


MEMBERSHIP = frozenset({"member:invited", "member:joined", "member:left"})
"""The types of the events after which somebody's conversations are others."""

PEOPLE_SECONDS = 1.0
PEOPLE_AT_ONCE = 16
"""How often the conversations of those who listen to all of theirs are looked at where nobody announces anything, and for how many users
within a tick at most: where there are more of them it is less often."""


class Listener(Protocol):
    """Who is served in one event loop, with a task group in which something can run for all of them."""

    group: TaskGroup

    def end(self, error: StreamEnded) -> None:
        """Listen no more."""


class Watched:
    """A user whose conversations are watched over, when their watchers were last told to look, and who they are."""

    __slots__ = ("told", "watchers")

    def __init__(self) -> None:
        self.told = time.monotonic()
        self.watchers: dict[Callable[[], None], None] = {}

    def tell(self) -> None:
        """Let them look."""
        self.told = time.monotonic()
        for watcher in self.watchers:
            watcher()


class Circle:
    """Those who listen in one event loop.

    One of them has tasks running in its group that read the log, look around and hear the broker; when it goes, another one gets them. So
    nothing runs when nobody listens, and nothing needs a lifespan.
    """

    def __init__(self, numbers: Numbers, broker: Broker | None) -> None:
        self._numbers = numbers
        self._broker = broker
        self.topics: dict[tuple[str, str | None] | None, Topic] = {}
        self.listeners: dict[Listener, None] = {}
        self.people: dict[tuple[str, str], Watched] = {}
        self.hangs_up = False
        self.gone = anyio.Event()
        self._reader: Listener | None = None
        self._due: set[Topic] = set()
        self._nudge = anyio.Event()
        self._failed = False
        self._polled = time.monotonic()
        self._whispered: OrderedDict[str, None] = OrderedDict()

    def enter(self, listener: Listener) -> None:
        """See ``Live.enter``."""
        self.listeners[listener] = None
        if self._reader is None:
            self._appoint(listener)

    def leave(self, listener: Listener) -> None:
        """See ``Live.leave``."""
        del self.listeners[listener]
        if self._reader is listener:
            self._reader = None
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
        if not topic.subscribers:
            del self.topics[topic.application_id, topic.conversation_id]

    def watch(self, application_id: str, user_id: str, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` whenever the user's conversations may be others than before; it may be for nothing."""
        self.people.setdefault((application_id, user_id), Watched()).watchers[watcher] = None

    def unwatch(self, application_id: str, user_id: str, watcher: Callable[[], None]) -> None:
        """Undo ``watch``."""
        watched = self.people[application_id, user_id]
        del watched.watchers[watcher]
        if not watched.watchers:
            del self.people[application_id, user_id]

    def publish(self, signals: Sequence[Signal]) -> None:
        """See ``Live.publish``."""
        for signal in signals:
            if isinstance(signal, EventCreated):
                event = signal.event
                topic = self.topics.get((event.application_id, event.conversation_id))
                if topic is not None:
                    topic.publish(event)
                    if topic.has_gap:
                        self._read_soon(topic)
                if self.people and event.type in MEMBERSHIP:
                    self._tell(event.application_id, event.body["user"]["id"])
            elif isinstance(signal, ConversationDeleted):
                topic = self.topics.get((signal.application_id, signal.conversation.id))
                if topic is not None:
                    topic.end(conversation_not_found())

    def hear(self, one: News) -> None:
        """Somebody says that there is something to read, or passes on what cannot be read."""
        if isinstance(one, Wake):
            self._hear_of(one)
        elif one.id not in self._whispered:
            self.has_heard((one,))
            topic = self.topics.get((one.application_id, one.conversation_id))
            if topic is not None and is_ephemeral(one.data):
                topic.publish(Event(one.application_id, one.conversation_id, None, one.data))

    def has_heard(self, news: Sequence[News]) -> None:
        """Ignore these whispers when they come, maybe again."""
        for one in news:
            if isinstance(one, Whisper):
                self._whispered[one.id] = None
                if len(self._whispered) > REMEMBERED:
                    self._whispered.popitem(last=False)

    def _hear_of(self, wake: Wake) -> None:
        # Nothing but reading follows from it, so it may be wrong.
        topic = self.topics.get((wake.application_id, wake.conversation_id))
        if topic is not None and topic.next is not None and wake.last_id >= topic.next:
            self._read_soon(topic)
        if self.people:
            for user_id in wake.user_ids:
                self._tell(wake.application_id, user_id)

    def end(self, error: StreamEnded) -> None:
        """End all of them."""
        for listener in tuple(self.listeners):
            listener.end(error)

    def _tell(self, application_id: str, user_id: str) -> None:
        watched = self.people.get((application_id, user_id))
        if watched is not None:
            watched.tell()

    def _read_soon(self, topic: Topic) -> None:
        self._due.add(topic)
        self._nudge.set()

    def _appoint(self, listener: Listener) -> None:
        self._reader = listener
        listener.group.start_soon(self._follow_the_log, listener)
        listener.group.start_soon(self._look_around, listener)
        if self._broker is not None:
            listener.group.start_soon(self._hear_others, self._broker, listener)

    async def _hear_others(self, broker: Broker, listener: Listener) -> None:
        while self._reader is listener:
            try:
                await broker.listen(self.hear)
            except Exception as error:
                logger.warning("the broker is not heard, so that events of other processes come later: %r", error)
            await anyio.sleep(LISTEN_AGAIN_SECONDS)

    async def _follow_the_log(self, listener: Listener) -> None:
        """Read what is missing when it is known to be."""
        while self._reader is listener:
            with anyio.move_on_after(TICK_SECONDS):
                await self._nudge.wait()
                self._nudge = anyio.Event()
            if self.hangs_up:
                self.hangs_up = False
                self.end(stopping())
            due, self._due = self._due, set()
            topics = [topic for topic in due if topic.next is not None]
            for first in range(0, len(topics), ABREAST):
                async with anyio.create_task_group() as group:
                    for topic in topics[first : first + ABREAST]:
                        group.start_soon(self.read, topic)

    async def _look_around(self, listener: Listener) -> None:
        """Find once in a while what nobody announces. What is announced does not wait for that."""
        while self._reader is listener:
            await anyio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._look_after_people(now)
            if now - self._polled >= POLL_SECONDS:
                self._polled = now
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

    def _look_after_people(self, now: float) -> None:
        overdue = [watched for watched in self.people.values() if now - watched.told >= PEOPLE_SECONDS]
        for watched in nsmallest(PEOPLE_AT_ONCE, overdue, key=attrgetter("told")):
            watched.tell()

    async def read(self, topic: Topic) -> None:
        """Publish what the log has and the topic has not."""
        with self._in_trouble(topic.conversation_id), anyio.move_on_after(READ_SECONDS):
            try:
                while topic.next is not None and topic.subscribers:
                    page = await topic.read(EventRange(size=PAGE, start_id=topic.next))
                    for id, data in page.rows:
                        topic.publish(Event(page.application_id, page.conversation_id, id, data))
                    if len(page.ids) < PAGE:
                        return
            except NotFound as error:
                topic.end(error)

    @contextmanager
    def _in_trouble(self, what: str) -> Iterator[None]:
        """What cannot be read is read at the next occasion; of a storage that cannot answer for a while there is one warning."""
        try:
            yield
            self._failed = False
        except StorageUnavailable as error:
            if not self._failed:
                logger.warning("live streams wait for the storage: %s", error)
            self._failed = True
        except Exception:
            logger.exception("the log of %s could not be read for its subscribers", what)
