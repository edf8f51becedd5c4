"""One subscriber's way through a conversation: from the log until it has caught up, then from what is announced."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import HookFailed, RequestError, StorageUnavailable, StreamEnded, invalid_cursor, too_slow
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.reading import EventRange
from conversation_kit.live.registry import Live
from conversation_kit.live.topics import Published, Read, Topic

PAGE = 100
"""Events that are read from the log at once."""

MAX_EVENTS = 64
MAX_TEXT = 262_144
"""What may wait for a subscriber: events, and characters of their JSON. One event may always wait."""

PATIENCE = 1.0
"""Seconds after which a subscriber whose queue is full is slow; before that it has met with a burst, and reads on from the log."""

RETRY_SECONDS = 1.0
STALE_SECONDS = 0.01


class Subscription:
    """The events of one conversation from a position on, each once and in the order of their ids: ``async with`` it, ``async for`` it.

    ``read`` reads the log with the rights of who subscribes, and ``who`` tells their user id. ``after`` is the id of the last event that
    is known already; 0 is before all of them, ``None`` after all that are there. Entering raises what ``read`` raises, and
    ``invalid_cursor``. Afterwards the loop raises ``StreamEnded`` when access ends or the subscriber is too slow; when the kit stops the
    loop is over.
    """

    __slots__ = (
        "_after",
        "_batch",
        "_end",
        "_is_following",
        "_live",
        "_make_topic",
        "_next",
        "_queue",
        "_read",
        "_since",
        "_size",
        "_topic",
        "_wake",
        "_who",
        "group",
        "user_id",
        "write",
    )

    def __init__(self, live: Live, topic: Callable[[], Topic], read: Read, who: Callable[[], Awaitable[str | None]], after: int | None):
        self.user_id: str | None = None
        self.group: TaskGroup
        """Runs as long as the subscription; who has it may start tasks there."""
        self.write: Callable[[Published], bool] | None = None
        """Takes an event at once, if it can, in place of the queue."""
        self._live = live
        self._make_topic = topic
        self._topic: Topic
        self._read = read
        self._who = who
        self._after = after
        self._next = 1
        self._is_following = False
        self._queue: list[Published] = []
        self._size = 0
        self._since = 0.0
        self._batch: deque[Published] = deque()
        self._wake: anyio.Event
        self._end: StreamEnded | None = None

    async def __aenter__(self) -> Subscription:
        """Subscribe first, so that nothing is missed, then look into the log."""
        self._wake = anyio.Event()
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self._topic = self._live.enter(self, self._make_topic)
        try:
            self.user_id = await self._who()
            await self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        self._live.leave(self)
        self.group.cancel_scope.cancel()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            return await self.group.__aexit__(kind, error, trace)
        # Not told of other errors, which it would wrap into a group.
        await self.group.__aexit__(None, None, None)
        return None

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._batch:
            try:
                self._batch.extend(await self.take())
            except StreamEnded as end:
                if end.is_stop:
                    raise StopAsyncIteration from end
                raise
        return self._batch.popleft().event

    async def take(self) -> Sequence[Published]:
        """What there is next; waits for it. Empty when somebody has called ``wake``. Raises ``StreamEnded``."""
        while not self._queue:
            if self._end is not None:
                raise self._end
            if self._is_following:
                await self._wake.wait()
                self._wake = anyio.Event()
                if not self._queue and self._is_following:
                    return ()
            else:
                await self._catch_up()
        batch, self._queue, self._size = self._queue, [], 0
        return batch

    def wake(self) -> None:
        """Let ``take`` return."""
        self._wake.set()

    def deliver(self, item: Published) -> None:
        """See ``Subscriber.deliver``."""
        if not self._is_following:
            return
        if item.next is not None:
            if item.next <= self._next:
                return
            self._next = item.next
        if self._queue or self.write is None or not self.write(item):
            self._put(item)

    def fall_behind(self) -> None:
        """See ``Subscriber.fall_behind``."""
        self._is_following = False
        self._wake.set()

    def end(self, error: StreamEnded | RequestError) -> None:
        """See ``Subscriber.end``."""
        if self._end is None:
            self._end = error if isinstance(error, StreamEnded) else StreamEnded(error.description, error.code)
            self._is_following = False
            self._wake.set()

    async def _start(self) -> None:
        after = self._after
        if after is None:
            last = await self._read(EventRange(size=1, descending=True))
            self._next = last.ids[0] + 1 if last.ids else 1
            self._follow()
            return
        page = await self._read(EventRange(size=PAGE + 1, start_id=after))
        if after and not (page.ids and page.ids[0] == after):
            raise invalid_cursor(after)
        self._next = after + 1
        self._fill(page)
        if not self._queue:
            self._follow()

    async def _catch_up(self) -> None:
        try:
            page = await self._read(EventRange(size=PAGE, start_id=self._next))
        except RequestError as error:
            self.end(error)
            return
        except (StorageUnavailable, HookFailed):
            await anyio.sleep(RETRY_SECONDS)
            return
        self._fill(page)
        if len(page.ids) < PAGE:
            # Nobody else gets a turn before those of the page are taken.
            self._follow()
        if not page.ids and not self._is_following:
            # What was announced is not in sight yet: the database has several servers, and they are not in step.
            await anyio.sleep(STALE_SECONDS)

    def _fill(self, page: EventPage) -> None:
        events = [Published(Event(page.application_id, page.conversation_id, id, data)) for id, data in page.rows if id >= self._next]
        self._queue.extend(events)
        if events:
            self._next = page.ids[-1] + 1

    def _follow(self) -> None:
        self._is_following = self._end is None and self._topic.admits(self._next)

    def _put(self, item: Published) -> None:
        size = len(item.event.data)
        if self._queue and (len(self._queue) >= MAX_EVENTS or self._size + size > MAX_TEXT):
            self._overflow(item)
            return
        if not self._queue:
            self._since = time.monotonic()
        self._queue.append(item)
        self._size += size
        self._wake.set()

    def _overflow(self, item: Published) -> None:
        ids = [one.event.id for one in (*self._queue, item) if one.event.id is not None]
        self._queue, self._size = [], 0
        if time.monotonic() - self._since > PATIENCE:
            self.end(too_slow())
        elif ids:
            self._next = ids[0]
            self.fall_behind()
