"""Writing to one connection, from whichever task has something for it: without waking anybody while the connection takes it at once.

Waking a task for each subscriber is what most of the time of a fan-out goes to. An ASGI server's ``send`` mostly does not wait: it hands
the bytes to the transport and returns. So the publisher's task may call it for the subscriber; only when it has to wait after all, because
the client does not read, does the subscriber's own task go on with the call where it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from types import CoroutineType, coroutine
from typing import Any, Final, TypeAlias

import anyio
from anyio.lowlevel import current_token

from conversation_kit.http.serving.mounting import Message, Send

Sending: TypeAlias = Coroutine[Any, Any, None]

_DONE: Final = object()


class DirectSender:
    """One connection's ``send``. ``wake`` lets its own task call ``finish``. A client that has gone is an ``OSError`` to its tasks."""

    __slots__ = ("_broken", "_is_direct", "_is_free", "_left", "_lock", "_may_be_direct", "_send", "_wake", "_writers")

    def __init__(self, send: Send, wake: Callable[[], None]) -> None:
        self._send = send
        self._wake = wake
        # On trio a call belongs to the task that began it.
        self._may_be_direct = type(current_token().native_token).__module__.partition(".")[0] != "trio"
        self._is_direct = False
        self._lock = anyio.Lock(fast_acquire=True)
        self._writers = 0
        self._left: tuple[Sending, Any] | None = None
        self._broken: Exception | None = None
        self._is_free = False
        """Tells whether a message can go at once: the server takes them so, and nothing is left to be sent before."""

    async def write(self, message: Message) -> None:
        """Send a message from one of the connection's own tasks, and learn whether the server takes messages at once."""
        async with self._alone():
            sending = self._send(message)
            if type(sending) is CoroutineType:
                self._is_direct = await _watched(sending) and self._may_be_direct
            else:
                await sending

    async def write_last(self, messages: Iterable[Message]) -> None:
        """Send the last messages: whoever waits to write gets an ``OSError`` instead."""
        async with self._alone():
            self._broken = OSError("The connection is closed.")
            for message in messages:
                await self._send(message)

    def write_now(self, message: Message) -> bool:
        """Send a message from any task of the event loop, without waiting; ``False`` and nothing done, if it might have to wait.

        It never comes before what one of the connection's own tasks has to send already, be it that this task still waits for its turn.
        """
        if not self._is_free:
            return False
        try:
            sending: Any = self._send(message)
            waits_for = next(sending.__await__(), _DONE)  # half the time that catching a StopIteration takes
        except Exception as error:
            self._broken = error
        else:
            if waits_for is _DONE:
                return True
            self._left = sending, waits_for
        self._is_free = False
        self._wake()
        return True

    async def finish(self) -> None:
        """Bring to its end what somebody else began. Raises what the server raised."""
        if self._left is not None or self._broken is not None:
            async with self._alone():
                pass

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One of the connection's own tasks at a time, with nothing left of what somebody else began."""
        self._writers += 1
        self._is_free = False
        try:
            async with self._lock:
                if self._broken is not None:
                    raise self._broken
                if self._left is not None:
                    left, self._left = self._left, None
                    await _go_on(*left)
                yield
        except RuntimeError as error:
            # So uvicorn puts it when a WebSocket's client has closed, and the message that tells of it is still on its way.
            raise OSError(str(error)) from error
        finally:
            self._writers -= 1
            self._is_free = self._is_direct and not self._writers and self._left is None and self._broken is None

    def close(self) -> None:
        """Nobody writes any more."""
        self._is_free = False
        self._broken = self._broken or OSError("The connection is closed.")
        if self._left is not None:
            self._left[0].close()
            self._left = None


@coroutine
def _watched(sending: Sending) -> Generator[Any, Any, bool]:
    """Await ``sending``, and return whether it did so without waiting for anything."""
    try:
        waits_for = sending.send(None)
    except StopIteration:
        return True
    yield from _rest(sending, waits_for)
    return False


@coroutine
def _go_on(sending: Sending, waits_for: Any) -> Generator[Any, Any, None]:
    """Await the rest of ``sending``, which waits for ``waits_for``."""
    yield from _rest(sending, waits_for)


def _rest(sending: Sending, waits_for: Any) -> Generator[Any, Any, None]:
    while True:
        try:
            try:
                answer = yield waits_for
            except BaseException as error:
                waits_for = sending.throw(error)
            else:
                waits_for = sending.send(answer)
        except StopIteration:
            return
