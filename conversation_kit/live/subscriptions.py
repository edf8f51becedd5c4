"""Listening to one conversation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from conversation_kit.domain.errors import RequestError, StorageUnavailable, StreamEnded, Unauthenticated, invalid_cursor
from conversation_kit.domain.reading import MAX_PAGE, EventRange
from conversation_kit.domain.values.epochs import FIRST_EPOCH, cursor_text, other_log
from conversation_kit.live.buffer import Buffer
from conversation_kit.live.bus import Bus
from conversation_kit.live.log_reader import PAGE, RETRY_SECONDS, LogReader
from conversation_kit.live.topics import Published, Read, Topic


class Subscription(Buffer[Published]):
    """The events of one conversation from a position on, each once and in the order of their ids: ``async with`` it, ``async for`` it.

    ``read`` reads the log with the rights of who subscribes, and ``who`` tells their user id, or raises ``Unauthenticated``. ``after`` is
    the id of the last event that is known already; 0 is before all of them, ``None`` after all that are there. With ``known_epoch``
    it is a position in the log of that epoch. Entering raises what ``read`` raises, and ``invalid_cursor``. Afterwards the loop raises
    ``StreamEnded`` when access ends, the subscriber is too slow or the log is another one; when the kit stops the loop is over.
    """

    __slots__ = ("_after", "_is_stale", "_known_epoch", "_make_topic", "_position", "_read", "_reader", "_who")

    def __init__(
        self,
        bus: Bus,
        topic: Callable[[], Topic],
        read: Read,
        who: Callable[[], Awaitable[str | None]],
        after: int | None,
        known_epoch: str | None = None,
    ) -> None:
        super().__init__(bus)
        self._make_topic = topic
        self._read = read
        self._who = who
        self._after = after
        self._known_epoch = known_epoch
        self._position = 0
        self._reader = LogReader(read, self)
        self._is_stale = False

    @property
    def user_id(self) -> str | None:
        """The user who listens; ``None`` for the application itself."""
        return self._reader.user_id

    @property
    def cursor(self) -> str:
        """Position after the event that the loop has given out last, to go on with as ``after``; it holds the epoch too."""
        return cursor_text(self._position, self.epoch or FIRST_EPOCH)

    def _taken(self, item: Published) -> None:
        if item.event.id is not None:
            self._position = item.event.id

    async def _begin(self) -> None:
        reader = self._reader
        reader.topic = self._dispatcher.follow(self._make_topic, reader)
        if (user_id := await self._who()) is not None:
            reader.user_id = user_id
            self._dispatcher.owners.watch(reader.topic.application_id, user_id, self._look_again)
        after = self._after
        if self._known_epoch not in (None, self.epoch):
            await self._read(EventRange(size=1))  # who may not read is told that instead
            self.end(other_log())
            return
        if after is None:
            last = await self._read(EventRange(size=1, descending=True))
            reader.next = last.ids[0] + 1 if last.ids else 1
            self._position = reader.next - 1
            reader.follow()
            return
        page = await self._read(EventRange(size=PAGE + 1, start_id=after, max_bytes=MAX_PAGE))
        if after and not (page.ids and page.ids[0] == after):
            raise invalid_cursor(after)
        self._position = after
        reader.next = after + 1
        reader.fill(page)
        if not self._waiting:
            reader.follow()

    def _leave(self) -> None:
        reader = self._reader
        self._dispatcher.unfollow(reader.topic, reader)
        if reader.user_id is not None:
            self._dispatcher.owners.unwatch(reader.topic.application_id, reader.user_id, self._look_again)

    @property
    def _is_behind(self) -> bool:
        return self._is_stale or not self._reader.is_following

    async def _read_on(self) -> None:
        if self._is_stale:
            await self._look()
        else:
            await self._reader.read_on()

    def _look_again(self) -> None:
        self._is_stale = True
        self._wake.set()

    async def _look(self) -> None:
        """Look whether there still is the user who listens, under the same name."""
        try:
            user_id = await self._who()
        except RequestError as error:
            self.end(error)
        except StorageUnavailable:
            await anyio.sleep(RETRY_SECONDS)
            return
        else:
            if user_id != self.user_id:
                self.end(Unauthenticated("The name of this user has become another one's."))
        self._is_stale = False

    def _put_back(self, items: Sequence[Published]) -> None:
        ids = [item.event.id for item in items if item.event.id is not None]
        if ids:
            self._reader.rewind(ids[0])

    def on_live(self, reader: LogReader, item: Published) -> None:
        """See ``LogListener.on_live``."""
        if self._waiting or self._aside.items or not self._write(item):
            self._put(item)

    def on_deferred(self, reader: LogReader, item: Published) -> None:
        """See ``LogListener.on_deferred``."""
        self._set_aside(item)

    def _from_aside(self, item: Published) -> Published:
        return item

    def on_backlog(self, reader: LogReader, item: Published) -> None:
        """See ``LogListener.on_backlog``."""
        self._waiting.append(item)

    def on_behind(self, reader: LogReader) -> None:
        """See ``LogListener.on_behind``."""
        self._wake.set()

    def on_end(self, reader: LogReader, error: StreamEnded | RequestError) -> None:
        """See ``LogListener.on_end``."""
        self.end(error)
