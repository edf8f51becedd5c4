"""Base of brokers with a server: a thread that talks to the server, while there is something to say or somebody listens."""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint_if_cancelled, current_token

from conversation_kit import forks
from conversation_kit.brokers.messages import PendingMessages, read, write
from conversation_kit.brokers.parts import Parts
from conversation_kit.loops import Loop
from conversation_kit.ports import BrokerMessage

logger = logging.getLogger("conversation_kit")

IDLE_SECONDS = 5.0
"""Seconds that the thread stays without anything to do, and goes on listening for nobody."""

GATHER_SECONDS = 0.005
"""Seconds for which news is gathered after something was sent. News that comes after a longer rest is sent at once."""

SEND_SECONDS = 5.0
CLOSE_SECONDS = 2.0
"""Seconds that a stop waits for news that is still to be sent, and for the connections to close."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect, which double from the one to the other."""


class ThreadedBroker(ABC):
    """A ``Broker`` that needs to be told only how to send texts and how to receive them.

    The thread has an event loop of its own, on asyncio whatever the host's is, so a server that is slow or gone holds up neither a writer
    nor an event loop: ``tell`` never waits and never raises, and connections that are lost are made again, with a warning once. What comes
    while a text is on its way goes into the next one, merged by conversation.
    """

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []
        self._begin()
        forks.watch(self, in_child=ThreadedBroker._begin)

    def _begin(self) -> None:
        """Begin without a thread or a listener. What the parent of a forked process has not sent yet it sends itself."""
        if self._listeners:
            forks.keep(self._listeners)
        self._pending = PendingMessages()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._call_soon: Callable[..., object] | None = None
        """Runs a function in the thread's event loop; ``None`` until there is one."""
        self._changed: anyio.Event
        self._make_event: Callable[[], anyio.Event]
        self._listeners = []
        self._heard_until = 0.0
        self._closes = False
        self._comes_back = False
        self._failing: set[str] = set()
        self._garbled = False

    @abstractmethod
    def sender(self) -> AbstractAsyncContextManager[Callable[[str], Awaitable[None]]]:
        """Open a connection, and give the function that sends a text over it: fewer than 8,000 characters of ASCII.

        It returns when the server has the text. Whatever is raised means that the connection is of no use any more: the block is left, and
        another one entered after a pause.
        """

    @abstractmethod
    def receiver(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Open a connection, and give the texts that anybody sends from the moment that the block is entered.

        When the connection is lost the iterator raises or ends.
        """

    @property
    def waiting(self) -> int:
        """See ``Buffered.waiting``."""
        return len(self._pending)

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        """See ``Broker.tell``."""
        if self._pending.add(messages) or self._thread is None:
            self._rouse()

    async def listen(self, heard: Callable[[BrokerMessage], None]) -> None:
        """See ``Broker.listen``."""
        listener = _Listener(heard)
        self._listeners.append(listener)
        try:
            self._rouse()
            await listener.ended.wait()
        finally:
            listener.is_over = True
            self._heard_until = time.monotonic() + IDLE_SECONDS
            self._listeners.remove(listener)

    async def open(self) -> None:
        """See ``Connected.open``. Whether the server can be reached turns out later, and is logged if it cannot."""
        self._rouse()

    async def close(self) -> None:
        """See ``Connected.close``. What waits is sent first."""
        with self._lock:
            thread = self._thread
            self._closes, self._comes_back = True, False
            self._tell_thread()
        for listener in tuple(self._listeners):
            listener.call_soon(listener.ended.set)
        if thread is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(thread.join, 2 * CLOSE_SECONDS)

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                self._comes_back = self._closes
                self._tell_thread()
                return
            self._call_soon, self._closes, self._comes_back = None, False, False
            self._thread = threading.Thread(target=self._run, name="conversation-kit-broker", daemon=True)
            self._thread.start()

    def _tell_thread(self) -> None:
        if self._call_soon is not None:
            with suppress(RuntimeError):  # it has just ended
                self._call_soon(self._change)

    def _change(self) -> None:
        changed, self._changed = self._changed, self._make_event()
        changed.set()

    def _run(self) -> None:
        try:
            anyio.run(self._work)
        except Exception:
            logger.exception("the broker's thread ended; events of other processes are found by looking into the log")
            self._closes = True
        with self._lock:
            self._thread = None
            # Somebody may have come while it was about to end.
            comes_back = self._comes_back if self._closes else bool(self._listeners or self._pending)
        if comes_back:
            self._rouse()

    async def _work(self) -> None:
        """Do the work of the thread."""
        self._changed = anyio.Event()
        self._make_event = type(self._changed)  # who calls from a thread with trio brings trio's context along
        loop: Any = current_token().native_token
        with self._lock:
            self._call_soon = loop.call_soon_threadsafe
        async with anyio.create_task_group() as group:
            sent = anyio.Event()
            group.start_soon(self._send_all, sent)
            ears: anyio.CancelScope | None = None
            while not self._closes:
                if self._listeners and ears is None:
                    ears = anyio.CancelScope()
                    group.start_soon(self._hear_all, ears)
                elif ears is not None and not self._listeners and time.monotonic() > self._heard_until:
                    ears.cancel()
                    ears = None
                with anyio.move_on_after(IDLE_SECONDS):
                    await self._changed.wait()
                    continue
                if not self._listeners and not self._pending:
                    break
            if ears is not None:
                ears.cancel()
            if self._closes:
                with anyio.move_on_after(CLOSE_SECONDS):
                    await sent.wait()
            group.cancel_scope.cancel()

    async def _send_all(self, sent: anyio.Event) -> None:
        await self._again_and_again("sent to", self._send)
        sent.set()

    async def _send(self) -> None:
        async with self.sender() as send:
            while True:
                messages = self._pending.take()
                try:
                    for text in write(messages):
                        with anyio.fail_after(SEND_SECONDS):
                            await send(text)
                except BaseException:
                    self._pending.add_again(messages)
                    raise
                self._works("sent to")
                if not self._closes:
                    await anyio.sleep(GATHER_SECONDS)
                if not self._pending:
                    if self._closes:
                        return
                    await self._changed.wait()

    async def _hear_all(self, scope: anyio.CancelScope) -> None:
        with scope:
            await self._again_and_again("listened to", self._hear)

    async def _hear(self) -> None:
        async with self.receiver() as texts:
            self._works("listened to")
            parts = Parts()
            async for text in texts:
                try:
                    messages = parts.whole(read(text))
                except ValueError as error:
                    if not self._garbled:
                        logger.warning("The broker has passed on a text that the kit did not write (%s): who else uses its channel?", error)
                    self._garbled = True
                else:
                    for listener in tuple(self._listeners):
                        listener.call_soon(listener.hear, messages)
        raise ConnectionError("the server has ended the connection")

    async def _again_and_again(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        """Make attempts until one ends by itself, with growing pauses after those that fail soon."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await attempt()
            except Exception as error:
                await checkpoint_if_cancelled()  # clients raise odd things when they are
                self._fails(what, error)
            else:
                return
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            with anyio.move_on_after(pause * random.uniform(0.5, 1)):
                while not self._closes:
                    await self._changed.wait()
            if self._closes:
                return

    def _fails(self, what: str, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if what not in self._failing:
            logger.warning(
                "The broker cannot be %s (%s: %s). No event of a log is lost, but until it can be, those of other processes arrive up to a "
                "second later, and typing does not arrive. Is its server running, and is the broker's URL right?",
                what,
                type(error).__name__,
                " ".join(str(error).split()),
            )
        self._failing.add(what)

    def _works(self, what: str) -> None:
        if what in self._failing:
            self._failing.discard(what)
            logger.info("The broker can be %s again.", what)


class _Listener:
    """One call of ``listen``, on the event loop that it is made on."""

    def __init__(self, heard: Callable[[BrokerMessage], None]) -> None:
        self.ended = anyio.Event()
        self.is_over = False
        self.call_soon = Loop().call_soon
        self._heard = heard

    def hear(self, messages: Sequence[BrokerMessage]) -> None:
        """Pass it on, while it still listens."""
        for one in messages:
            if not self.is_over:
                self._heard(one)
