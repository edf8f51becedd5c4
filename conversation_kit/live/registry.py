"""Everybody who listens to one kit, and the broker that lets other processes know."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from itertools import count
from threading import get_ident

import anyio

from conversation_kit.domain.errors import stopping
from conversation_kit.domain.signals import EventCreated, Signal
from conversation_kit.live.circles import MEMBERSHIP, Circle, Listener, Numbers
from conversation_kit.ports import Broker, Connected, News, Wake, Whisper

logger = logging.getLogger("conversation_kit")

MAX_WHISPER = 2_000
"""Bytes of UTF-8 of an ephemeral event that other processes get to know. Escaped they are up to three times as many, which fits into what a
broker sends at once."""


class Live:
    """The subscriptions of one kit, by event loop: an event loop is a thread's, and only its own thread touches what is in it."""

    def __init__(self, numbers: Numbers, broker: Broker | None = None) -> None:
        self.broker = broker
        self._numbers = numbers
        self._name = secrets.token_urlsafe(9)
        self._whispers = count()
        self.circles: dict[int, Circle] = {}
        """Empty when nobody listens, so that a look at it tells whether there is anything to announce."""

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to publish anything to."""
        return self.broker is not None or bool(self.circles)

    def watches(self, conversation: tuple[str, str | None] | None) -> bool:
        """Whether anybody in this event loop listens to the conversation, which is named by its application and its id."""
        circle = self.circles.get(get_ident())
        return circle is not None and conversation in circle.topics

    def publish(self, signals: Sequence[Signal]) -> None:
        """Hand out the events of one commit, and let other processes know of them if there is a broker. Never waits and never raises."""
        circle = self.circles.get(get_ident())
        if circle is not None:
            circle.publish(signals)
        if self.broker is not None and (news := list(self._news(signals))):
            if circle is not None:
                circle.has_heard(news)
            try:
                self.broker.tell(news)
            except Exception as error:
                logger.warning("the broker could not be told, so that others learn of it later: %r", error)

    def enter(self, listener: Listener) -> Circle:
        """Let ``listener`` into the circle of its event loop, where it can follow topics and watch over people."""
        circle = self.circles.get(get_ident())
        if circle is None:
            circle = self.circles[get_ident()] = Circle(self._numbers, self.broker)
        circle.enter(listener)
        return circle

    def leave(self, listener: Listener) -> None:
        """Undo ``enter``."""
        circle = self.circles[get_ident()]
        circle.leave(listener)
        if not circle.listeners:
            del self.circles[get_ident()]

    def hang_up(self) -> None:
        """End what is open now, soon. May be called from a signal handler or from any thread."""
        for circle in tuple(self.circles.values()):
            circle.hangs_up = True

    async def start(self) -> None:
        """Try whether the broker can be reached; what is wrong is logged before it is missed."""
        if isinstance(self.broker, Connected):
            await self.broker.open()

    async def stop(self, seconds: float) -> None:
        """End what is open in this event loop, and wait up to ``seconds`` until it has gone."""
        circle = self.circles.get(get_ident())
        if circle is not None:
            circle.end(stopping())
            with anyio.move_on_after(seconds, shield=True):
                await circle.gone.wait()
        if isinstance(self.broker, Connected) and not self.circles:
            await self.broker.close()

    def _news(self, signals: Sequence[Signal]) -> Iterator[News]:
        last: dict[tuple[str, str], int] = {}
        people: dict[tuple[str, str], tuple[str, ...]] = {}
        for signal in signals:
            if isinstance(signal, EventCreated):
                event = signal.event
                conversation = event.application_id, event.conversation_id
                if event.id is not None:
                    last[conversation] = event.id
                    if event.type in MEMBERSHIP:
                        people[conversation] = (*people.get(conversation, ()), event.body["user"]["id"])
                elif len(event.data.encode()) <= MAX_WHISPER:
                    yield Whisper(*conversation, f"{self._name}{next(self._whispers)}", event.data)
        for conversation, id in last.items():
            yield Wake(*conversation, id, people.get(conversation, ()))
