"""The way of one listener through one conversation: from the log until it has caught up, then from what is announced."""

from __future__ import annotations

from typing import Protocol

import anyio

from conversation_kit.domain.errors import HookFailed, RequestError, StorageUnavailable, StreamEnded
from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.reading import MAX_PAGE, EventRange
from conversation_kit.live.topics import LEFT, Published, Read, Topic, leaver

PAGE = 100
"""Events that are read from the log at once."""

RETRY_SECONDS = 1.0
STALE_SECONDS = 0.01


class LogListener(Protocol):
    """Whom the events of a reader are for."""

    def on_live(self, reader: LogReader, item: Published) -> None:
        """Take the next event, which was published just now."""

    def on_deferred(self, reader: LogReader, item: Published) -> None:
        """Take an ephemeral event for when the reader has read on."""

    def on_backlog(self, reader: LogReader, item: Published) -> None:
        """Take the next event, which was read from the log because it was asked for."""

    def on_behind(self, reader: LogReader) -> None:
        """Take a reader that has fallen behind: call ``read_on`` until it follows again."""

    def on_end(self, reader: LogReader, error: StreamEnded | RequestError) -> None:
        """There is no more for the reader to read."""


class LogReader:
    """A position in a conversation's log, and whether what is published there is next. Every event is handed on once, in the order of ids.

    ``read`` reads the log with the rights of the reader, whose user's id is ``user_id``. ``next`` is the id of the event that comes next.
    """

    __slots__ = ("_listener", "_read", "is_following", "next", "topic", "user_id")

    def __init__(self, read: Read, listener: LogListener) -> None:
        self.topic: Topic
        self.user_id: str | None = None
        self.next = 1
        self.is_following = False
        self._read = read
        self._listener = listener

    def deliver(self, item: Published) -> None:
        """See ``Subscriber.deliver``."""
        if not self.is_following:
            if item.next is None:
                self._listener.on_deferred(self, item)
            return
        if item.next is not None:
            if item.next <= self.next:
                return
            self.next = item.next
        self._listener.on_live(self, item)

    def fall_behind(self) -> None:
        """See ``Subscriber.fall_behind``."""
        self.is_following = False
        self._listener.on_behind(self)

    def end(self, error: StreamEnded | RequestError) -> None:
        """See ``Subscriber.end``."""
        self.is_following = False
        self._listener.on_end(self, error)

    def follow(self) -> None:
        """Take what is published from here on, if that leaves nothing out."""
        self.is_following = self.topic.admits(self.next)

    def rewind(self, id: int) -> None:
        """Read on from this event, which has been handed on and got lost."""
        self.next = id
        self.fall_behind()

    async def read_on(self) -> None:
        """Hand on the next page of the log, and follow after the last one. A storage that cannot answer is asked again later."""
        try:
            page = await self._read(EventRange(size=PAGE, start_id=self.next, max_bytes=MAX_PAGE))
        except RequestError as error:
            self.end(error)
            return
        except (StorageUnavailable, HookFailed):
            await anyio.sleep(RETRY_SECONDS)
            return
        if self.fill(page) and len(page.ids) < PAGE and not page.is_cut:
            # Nobody else gets a turn before those of the page are taken.
            self.follow()
        if not page.ids and not self.is_following:
            # What was announced is not in sight yet: the database has several servers, and they are not in step.
            await anyio.sleep(STALE_SECONDS)

    def fill(self, page: EventPage) -> bool:
        """Hand on what is next on a page that was read. ``False`` when it has to be read anew behind where the reader has left."""
        for id, data in page.rows:
            if id >= self.next:
                self.next = id + 1
                event = Event(page.application_id, page.conversation_id, id, data)
                self._listener.on_backlog(self, Published(event))
                if self.user_id is not None and LEFT in data and leaver(event) == self.user_id:
                    self.fall_behind()
                    return False
        return True
