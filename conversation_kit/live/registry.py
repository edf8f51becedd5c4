"""Everybody who listens, and the one task that reads the log for them where announcements do not come, or not in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import NotFound, StorageUnavailable, StreamEnded, conversation_not_found, stopping
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.signals import ConversationDeleted, EventCreated, Signal
from conversation_kit.live.topics import Subscriber, Topic
from conversation_kit.ports import Broker, Wake

logger = logging.getLogger("conversation_kit")

POLL_SECONDS = 0.6
"""How often the log is read, at the next tick: the time for which an event of another process can stay unnoticed where nobody announces it,
and so can the end of somebody's access."""

TICK_SECONDS = 0.25
READ_SECONDS = 5.0
TELL_SECONDS = 1.0
LISTEN_AGAIN_SECONDS = 1.0
PAGE = 100
ABREAST = 32
"""Topics whose logs are read at once."""


class Member(Subscriber, Protocol):
    """A subscriber with a task group, in which something can run for all of them."""

    group: TaskGroup


class Live:
    """The subscriptions of one kit, by event loop: an event loop is a thread's, and only its own thread touches what is in it."""

    def __init__(self, broker: Broker | None = None) -> None:
        self.broker = broker
        self.circles: dict[int, Circle] = {}
        """Empty when nobody listens, so that a look at it tells whether there is anything to announce."""

    def watches(self, conversation: tuple[str, str | None] | None) -> bool:
        """Whether anybody in this event loop listens to the conversation, which is named by its application and its id."""
        circle = self.circles.get(get_ident())
        return circle is not None and conversation in circle.topics

    def publish(self, signals: Sequence[Signal]) -> None:
        """Hand out the events of one commit. Never waits and never raises."""
        circle = self.circles.get(get_ident())
        if circle is not None:
            circle.publish(signals)

    async def tell(self, signals: Sequence[Signal]) -> None:
        """Let other processes know of the events of one commit, if there is a broker. Raises nothing of what it raises."""
        events = [signal.event for signal in signals if isinstance(signal, EventCreated)]
        last = {(event.application_id, event.conversation_id): event.id for event in events if event.id is not None}
        if self.broker is None or not last:
            return
        try:
            with anyio.fail_after(TELL_SECONDS):
                await self.broker.tell([Wake(*conversation, id) for conversation, id in last.items()])
        except Exception as error:
            logger.warning("the broker could not be told, so that others learn of it later: %r", error)

    def enter(self, member: Member, topic: Callable[[], Topic]) -> Topic:
        """Let ``member`` listen; ``topic`` makes its topic if there is none yet."""
        circle = self.circles.get(get_ident())
        if circle is None:
            circle = self.circles[get_ident()] = Circle(self.broker)
        return circle.enter(member, topic)

    def leave(self, member: Member) -> None:
        """Undo ``enter``."""
        circle = self.circles[get_ident()]
        circle.leave(member)
        if not circle.members:
            del self.circles[get_ident()]

    def hang_up(self) -> None:
        """End what is open now, soon. May be called from a signal handler or from any thread."""
        for circle in tuple(self.circles.values()):
            circle.hangs_up = True

    async def stop(self, seconds: float) -> None:
        """End what is open in this event loop, and wait up to ``seconds`` until it has gone."""
        circle = self.circles.get(get_ident())
        if circle is None:
            return
        circle.end(stopping())
        with anyio.move_on_after(seconds, shield=True):
            await circle.gone.wait()


class Circle:
    """Those who listen in one event loop.

    One of them has tasks running in its group that read the log and hear the broker; when it goes, another one gets them. So nothing runs
    when nobody listens, and nothing needs a lifespan.
    """

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker
        self.topics: dict[tuple[str, str | None] | None, Topic] = {}
        self.members: dict[Member, Topic] = {}
        self.hangs_up = False
        self.gone = anyio.Event()
        self._reader: Member | None = None
        self._due: set[Topic] = set()
        self._nudge = anyio.Event()
        self._failed = False
        self._polled = time.monotonic()

    def enter(self, member: Member, make: Callable[[], Topic]) -> Topic:
        """See ``Live.enter``."""
        topic = make()
        topic = self.topics.setdefault((topic.application_id, topic.conversation_id), topic)
        topic.subscribers[member] = None
        self.members[member] = topic
        if self._reader is None:
            self._appoint(member)
        return topic

    def leave(self, member: Member) -> None:
        """See ``Live.leave``."""
        topic = self.members.pop(member)
        del topic.subscribers[member]
        if not topic.subscribers:
            del self.topics[topic.application_id, topic.conversation_id]
        if self._reader is member:
            self._reader = None
            for other in self.members:
                self._appoint(other)
                break
        if not self.members:
            self.gone.set()

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
            elif isinstance(signal, ConversationDeleted):
                topic = self.topics.get((signal.application_id, signal.conversation.id))
                if topic is not None:
                    topic.end(conversation_not_found())

    def hear(self, wake: Wake) -> None:
        """Somebody says that there is something to read. Nothing but reading follows from it, so it may be wrong."""
        topic = self.topics.get((wake.application_id, wake.conversation_id))
        if topic is not None and topic.next is not None and wake.last_id >= topic.next:
            self._read_soon(topic)

    def end(self, error: StreamEnded) -> None:
        """End all of them."""
        for member in tuple(self.members):
            member.end(error)

    def _read_soon(self, topic: Topic) -> None:
        self._due.add(topic)
        self._nudge.set()

    def _appoint(self, member: Member) -> None:
        self._reader = member
        member.group.start_soon(self._follow_the_log, member)
        if self._broker is not None:
            member.group.start_soon(self._hear_others, self._broker, member)

    async def _hear_others(self, broker: Broker, member: Member) -> None:
        while self._reader is member:
            try:
                await broker.listen(self.hear)
            except Exception as error:
                logger.warning("the broker is not heard, so that events of other processes come later: %r", error)
            await anyio.sleep(LISTEN_AGAIN_SECONDS)

    async def _follow_the_log(self, member: Member) -> None:
        """Read what is missing when it is known to be, and everything once in a while."""
        while self._reader is member:
            with anyio.move_on_after(TICK_SECONDS):
                await self._nudge.wait()
                self._nudge = anyio.Event()
            if self.hangs_up:
                self.hangs_up = False
                self.end(stopping())
            now = time.monotonic()
            due, self._due = self._due, set()
            if now - self._polled >= POLL_SECONDS:
                self._polled = now
                due = set(self.topics.values())
            topics = [topic for topic in due if topic.next is not None]
            for first in range(0, len(topics), ABREAST):
                async with anyio.create_task_group() as group:
                    for topic in topics[first : first + ABREAST]:
                        group.start_soon(self._read, topic)

    async def _read(self, topic: Topic) -> None:
        try:
            with anyio.move_on_after(READ_SECONDS):  # what takes longer keeps nobody else waiting, and is tried again
                while topic.next is not None and topic.subscribers:
                    page = await topic.read(EventRange(size=PAGE, start_id=topic.next))
                    self._failed = False
                    for id, data in page.rows:
                        topic.publish(Event(page.application_id, page.conversation_id, id, data))
                    if len(page.ids) < PAGE:
                        return
        except NotFound as error:
            topic.end(error)
        except StorageUnavailable as error:
            if not self._failed:
                logger.warning("live streams wait for the storage: %s", error)
            self._failed = True
        except Exception:
            logger.exception("the log of %s could not be read for its subscribers", topic.conversation_id)
