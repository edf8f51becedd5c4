"""Listening to one conversation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from conversation_kit.domain.errors import RequestError, StreamEnded, invalid_cursor
from conversation_kit.domain.reading import EventRange
from conversation_kit.live.followers import PAGE, Follower
from conversation_kit.live.inboxes import Inbox
from conversation_kit.live.registry import Live
from conversation_kit.live.topics import Published, Read, Topic


class Subscription(Inbox[Published]):
    """The events of one conversation from a position on, each once and in the order of their ids: ``async with`` it, ``async for`` it.

    ``read`` reads the log with the rights of who subscribes, and ``who`` tells their user id. ``after`` is the id of the last event that
    is known already; 0 is before all of them, ``None`` after all that are there. Entering raises what ``read`` raises, and
    ``invalid_cursor``. Afterwards the loop raises ``StreamEnded`` when access ends or the subscriber is too slow; when the kit stops the
    loop is over.
    """

    __slots__ = ("_after", "_follower", "_make_topic", "_read", "_who")

    def __init__(self, live: Live, topic: Callable[[], Topic], read: Read, who: Callable[[], Awaitable[str | None]], after: int | None):
        super().__init__(live)
        self._make_topic = topic
        self._read = read
        self._who = who
        self._after = after
        self._follower = Follower(read, self)

    @property
    def user_id(self) -> str | None:
        """The user who listens; ``None`` for the application itself."""
        return self._follower.user_id

    async def _begin(self) -> None:
        follower = self._follower
        follower.topic = self._circle.follow(self._make_topic, follower)
        follower.user_id = await self._who()
        after = self._after
        if after is None:
            last = await self._read(EventRange(size=1, descending=True))
            follower.next = last.ids[0] + 1 if last.ids else 1
            follower.follow()
            return
        page = await self._read(EventRange(size=PAGE + 1, start_id=after))
        if after and not (page.ids and page.ids[0] == after):
            raise invalid_cursor(after)
        follower.next = after + 1
        follower.fill(page)
        if not self._waiting:
            follower.follow()

    def _leave(self) -> None:
        self._circle.unfollow(self._follower.topic, self._follower)

    @property
    def _is_behind(self) -> bool:
        return not self._follower.is_following

    async def _read_on(self) -> None:
        await self._follower.read_on()

    def _put_back(self, items: Sequence[Published]) -> None:
        ids = [item.event.id for item in items if item.event.id is not None]
        if ids:
            self._follower.rewind(ids[0])

    def arrive(self, follower: Follower, item: Published) -> None:
        """See ``Reader.arrive``."""
        if self._waiting or self.write is None or not self.write(item):
            self._put(item)

    def keep(self, follower: Follower, item: Published) -> None:
        """See ``Reader.keep``."""
        self._waiting.append(item)

    def stray(self, follower: Follower) -> None:
        """See ``Reader.stray``."""
        self._wake.set()

    def lose(self, follower: Follower, error: StreamEnded | RequestError) -> None:
        """See ``Reader.lose``."""
        self.end(error)
