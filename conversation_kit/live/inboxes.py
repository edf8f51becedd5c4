"""What waits for one listener, and how a listener is served: at once where it keeps up, from the log where it does not."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import RequestError, StreamEnded, too_slow
from conversation_kit.domain.events import Event
from conversation_kit.live.circles import Circle
from conversation_kit.live.registry import Live

MAX_EVENTS = 64
MAX_TEXT = 262_144
"""What may wait for a listener: events, and characters of their JSON. One event may always wait."""

PATIENCE = 1.0
"""Seconds after which a listener whose inbox is full is slow; before that it has met with a burst, and reads on from the log."""


class Item(Protocol):
    """What arrives in an inbox."""

    @property
    def event(self) -> Event:
        """The event in it."""
        ...


T = TypeVar("T", bound=Item)


class Inbox(ABC, Generic[T]):
    """What a subscription to one conversation and a feed of many have in common: ``async with`` it, ``async for`` it.

    Entering raises what the log says of the position and of the rights. Afterwards the loop raises ``StreamEnded`` when access ends or the
    listener is too slow; when the kit stops the loop is over.
    """

    __slots__ = ("_batch", "_circle", "_end", "_live", "_since", "_size", "_waiting", "_wake", "group", "write")

    def __init__(self, live: Live) -> None:
        self.group: TaskGroup
        """Runs as long as the listener; who has it may start tasks there."""
        self.write: Callable[[T], bool] | None = None
        """Takes an item at once, if it can, when nothing waits."""
        self._live = live
        self._circle: Circle
        self._waiting: list[T] = []
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
        """Whether there is something to read before anything else that is published may be taken."""

    @abstractmethod
    async def _read_on(self) -> None:
        """Read some of it. What cannot be read ends the listener, or is tried again."""

    @abstractmethod
    def _put_back(self, items: Sequence[T]) -> None:
        """These found no room: read them again."""

    def _taken(self, item: T) -> None:
        """The loop gives this one out."""

    async def __aenter__(self) -> Self:
        self._wake = anyio.Event()
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self._circle = self._live.enter(self)
        try:
            await self._begin()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        self._leave()
        self._live.leave(self)
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
        """What there is next; waits for it. Empty when somebody has called ``wake``. Raises ``StreamEnded``."""
        while not self._waiting:
            if self._end is not None:
                raise self._end
            if self._is_behind:
                await self._read_on()
                continue
            await self._wake.wait()
            self._wake = anyio.Event()
            if not (self._waiting or self._end or self._is_behind):
                return ()
        batch, self._waiting, self._size = self._waiting, [], 0
        return batch

    def wake(self) -> None:
        """Let ``take`` return."""
        self._wake.set()

    def end(self, error: StreamEnded | RequestError) -> None:
        """Listen no more."""
        if self._end is None:
            self._end = error if isinstance(error, StreamEnded) else StreamEnded(error.description, error.code)
            self.write = None
            self._wake.set()

    def _put(self, item: T) -> None:
        """Let what could not be written wait, or do with it what is done when there is no room."""
        if self._end is not None:
            return
        size = len(item.event.data)
        if self._waiting and (len(self._waiting) >= MAX_EVENTS or self._size + size > MAX_TEXT):
            items, self._waiting, self._size = [*self._waiting, item], [], 0
            if time.monotonic() - self._since > PATIENCE:
                self.end(too_slow())
            else:
                self._put_back(items)
            return
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(item)
        self._size += size
        self._wake.set()
