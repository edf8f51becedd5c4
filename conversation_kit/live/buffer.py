"""The buffer of one listener, who is served at once while it keeps up, and from the log while it does not."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import RequestError, StreamEnded, too_slow
from conversation_kit.domain.event_types import EPHEMERAL
from conversation_kit.domain.events import Event
from conversation_kit.live.bus import Bus
from conversation_kit.live.dispatcher import Dispatcher
from conversation_kit.live.ephemeral_backlog import EphemeralBacklog
from conversation_kit.live.topics import Published

MAX_EVENTS = 64
MAX_TEXT = 262_144
"""Room for what waits for a listener: events, and characters of their JSON. One event may always wait."""

PATIENCE = 1.0
"""Seconds after which a listener whose buffer is full is slow. Before that it has met with a burst: it reads on from the log, and gets the
newest of what is in no log."""


class Item(Protocol):
    """An item that arrives in an buffer."""

    @property
    def event(self) -> Event:
        """The event in it."""
        ...

    @property
    def published(self) -> Published:
        """The event as all who listen to its conversation share it."""
        ...


T = TypeVar("T", bound=Item)


class Buffer(ABC, Generic[T]):
    """Common part of a subscription to one conversation and a feed of many: ``async with`` it, ``async for`` it.

    Entering raises what the log says of the position and of the rights. Afterwards the loop raises ``StreamEnded`` when access ends or the
    listener is too slow; when the kit stops the loop is over.
    """

    __slots__ = ("_aside", "_batch", "_bus", "_dispatcher", "_end", "_since", "_size", "_waiting", "_wake", "_write", "epoch", "group")

    def __init__(self, bus: Bus) -> None:
        self.group: TaskGroup
        """Runs as long as the listener; who has it may start tasks there."""
        self.epoch: str | None = None
        """The epoch of the log that is read; ``None`` before entering."""
        self._write: Callable[[T], bool] = _nowhere
        self._bus = bus
        self._dispatcher: Dispatcher
        self._waiting: list[T] = []
        self._aside = EphemeralBacklog()
        self._size = 0
        self._since = 0.0
        self._batch: deque[T] = deque()
        self._wake: anyio.Event
        self._end: StreamEnded | None = None

    @abstractmethod
    async def _begin(self) -> None:
        """Take part in what is published first, so that nothing is missed, then look into the log."""

    @abstractmethod
    def _leave(self) -> None:
        """Take part no more."""

    @property
    @abstractmethod
    def _is_behind(self) -> bool:
        """Tell whether there is something to read before anything else that is published may be taken."""

    @abstractmethod
    async def _read_on(self) -> None:
        """Read some of it. What cannot be read ends the listener, or is tried again."""

    @abstractmethod
    def _put_back(self, items: Sequence[T]) -> None:
        """Read again what found no room."""

    @abstractmethod
    def _from_aside(self, item: Published) -> T | None:
        """Return an item for an event that was set aside, now that nothing is left to read; ``None`` if it is no longer wanted."""

    def _taken(self, item: T) -> None:
        """Note an item that the loop gives out."""

    async def __aenter__(self) -> Self:
        self._wake = anyio.Event()
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self._dispatcher = self._bus.enter(self)
        try:
            self.epoch = await self._dispatcher.look_at_epoch()
            await self._begin()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        if self.epoch is not None:
            self._leave()
        self._bus.leave(self)
        self.group.cancel_scope.cancel()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            return await self.group.__aexit__(kind, error, trace)
        # Not told of other errors, which it would wrap into a group.
        await self.group.__aexit__(None, None, None)
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._batch:
            try:
                self._batch.extend(await self.take())
            except StreamEnded as end:
                if end.is_stop:
                    raise StopAsyncIteration from end
                raise
        item = self._batch.popleft()
        self._taken(item)
        return item.event

    async def take(self) -> Sequence[T]:
        """Wait for the next items and return them. Empty when somebody has called ``wake``. Raises ``StreamEnded``."""
        while not self._waiting:
            if self._end is not None:
                raise self._end
            if self._is_behind:
                await self._read_on()
                continue
            if self._aside.items:
                found = map(self._from_aside, self._aside.take())
                self._waiting = [item for item in found if item is not None]
                continue
            await self._wake.wait()
            self._wake = anyio.Event()
            if not (self._waiting or self._end or self._is_behind):
                return ()
        batch, self._waiting, self._size = self._waiting, [], 0
        return batch

    @contextmanager
    def writing(self, write: Callable[[T], bool]) -> Iterator[None]:
        """Give items to ``write`` at once while the block runs, when nothing waits; it returns ``False`` for one that has to wait."""
        if self._end is None:
            self._write = write
        try:
            yield
        finally:
            self._write = _nowhere

    def wake(self) -> None:
        """Let ``take`` return."""
        self._wake.set()

    def end(self, error: StreamEnded | RequestError) -> None:
        """Listen no more."""
        if self._end is None:
            self._end = error if isinstance(error, StreamEnded) else StreamEnded(error.description, error.code)
            self._write = _nowhere
            self._wake.set()

    def _put(self, item: T) -> None:
        """Let what could not be written wait, or do with it what is done when there is no room."""
        if self._end is not None:
            return
        if self._aside.items and _is_ephemeral(item):
            self._set_aside(item.published)
            return
        size = len(item.event.data)
        if self._waiting and (len(self._waiting) >= MAX_EVENTS or self._size + size > MAX_TEXT):
            items, self._waiting, self._size = [*self._waiting, item], [], 0
            if time.monotonic() - self._since > PATIENCE:
                self.end(too_slow())
            else:
                for one in items:
                    if _is_ephemeral(one):
                        self._set_aside(one.published)
                self._put_back([one for one in items if not _is_ephemeral(one)])
            return
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(item)
        self._size += size
        self._wake.set()

    def _set_aside(self, item: Published) -> None:
        """Let an ephemeral event wait until there is nothing to read."""
        self._aside.put(item)
        self._wake.set()


def _nowhere(item: Item) -> bool:
    """Take no item, as a listener that nothing is written to."""
    return False


def _is_ephemeral(item: Item) -> bool:
    return item.event.id is None and item.event.type in EPHEMERAL
