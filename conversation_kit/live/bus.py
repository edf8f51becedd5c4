"""Everybody who listens to one kit, and the broker that lets other processes know."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from threading import get_ident

import anyio

from conversation_kit import forks
from conversation_kit.domain.errors import stopping
from conversation_kit.domain.signals import EventCreated, Signal, UserDeleted, UserUpdated
from conversation_kit.hooks.invoking import is_deadly
from conversation_kit.live.dispatcher import MEMBERSHIP, Dispatcher, Epochs, Listener, Numbers
from conversation_kit.live.ephemeral import EphemeralCodec
from conversation_kit.ports import Broker, BrokerMessage, Connected, LogAdvanced

logger = logging.getLogger("conversation_kit")


class Bus:
    """The subscriptions of one kit, by event loop. A loop is a thread's; what another one has to say goes through ``Dispatcher.tell``."""

    def __init__(self, numbers: Numbers, epoch: Epochs, broker: Broker | None = None, secret: str | None = None) -> None:
        self.broker = broker
        self._numbers = numbers
        self._epoch = epoch
        self._secret = secret
        self.dispatchers: dict[int, Dispatcher] = {}
        """Empty when nobody listens, so that a look at it tells whether there is anything to announce."""
        self._begin()
        forks.watch(self, in_child=Bus._begin)

    def _begin(self) -> None:
        """Nobody listens yet. Who listened to the parent of a forked process is not here, and the name is each process's own."""
        self._ephemeral_events = EphemeralCodec(self._secret)
        if self.dispatchers:
            forks.keep(self.dispatchers)
        self.dispatchers = {}

    @property
    def listeners(self) -> int:
        """Number of subscriptions and feeds, in all event loops."""
        return sum(len(dispatcher.listeners) for dispatcher in tuple(self.dispatchers.values()))

    @property
    def topics(self) -> int:
        """Number of conversations that are followed, once for each event loop."""
        return sum(len(dispatcher.topics) for dispatcher in tuple(self.dispatchers.values()))

    def watches(self, conversation: tuple[str, str | None] | None) -> bool:
        """Tell whether anybody in this event loop listens to the conversation, which is named by its application and its id.

        Without an id it may be any of them, as that of a leg, which is known only when it is changed.
        """
        dispatcher = self.dispatchers.get(get_ident())
        if dispatcher is None:
            return False
        return conversation in dispatcher.topics or (conversation is not None and conversation[1] is None and bool(dispatcher.topics))

    def publish(self, signals: Sequence[Signal]) -> None:
        """Hand out the events of one commit, and let other processes know of them if there is a broker. Never waits and never raises."""
        own = self.dispatchers.get(get_ident())
        if own is not None:
            own.publish(signals)
        messages = list(self._news(signals)) if self.broker is not None else []
        if len(self.dispatchers) > (own is not None):
            for dispatcher in tuple(self.dispatchers.values()):
                if dispatcher is not own and dispatcher.concerns(signals):
                    dispatcher.tell(signals, messages)
        if self.broker is not None and messages:
            if own is not None:
                own.has_heard(messages)
            try:
                self.broker.tell(messages)
            except BaseException as error:
                if not isinstance(error, Exception) and not is_deadly(error):
                    raise
                logger.warning("the broker could not be told, so that others learn of it later: %r", error)

    def enter(self, listener: Listener) -> Dispatcher:
        """Let ``listener`` into the dispatcher of its event loop, where it can follow topics and watch over people."""
        dispatcher = self.dispatchers.get(get_ident())
        if dispatcher is None:
            dispatcher = self.dispatchers[get_ident()] = Dispatcher(self._numbers, self._epoch, self.broker, self._ephemeral_events)
        dispatcher.enter(listener)
        return dispatcher

    def leave(self, listener: Listener) -> None:
        """Undo ``enter``."""
        dispatcher = self.dispatchers[get_ident()]
        dispatcher.leave(listener)
        if not dispatcher.listeners:
            del self.dispatchers[get_ident()]

    def end_streams(self) -> None:
        """End what is open now, soon. May be called from a signal handler or from any thread."""
        for dispatcher in tuple(self.dispatchers.values()):
            dispatcher.is_ending = True

    async def start(self) -> None:
        """Try whether the broker can be reached; what is wrong is logged before it is missed."""
        if isinstance(self.broker, Connected):
            await self.broker.open()

    async def stop(self, seconds: float) -> None:
        """End what is open in this event loop, and wait up to ``seconds`` until it has gone."""
        dispatcher = self.dispatchers.get(get_ident())
        if dispatcher is not None:
            dispatcher.end(stopping())
            with anyio.move_on_after(seconds, shield=True):
                await dispatcher.gone.wait()
        if isinstance(self.broker, Connected) and not self.dispatchers:
            await self.broker.close()

    def _news(self, signals: Sequence[Signal]) -> Iterator[BrokerMessage]:
        last: dict[tuple[str, str], int] = {}
        people: dict[tuple[str, str], tuple[str, ...]] = {}
        changed: dict[str, tuple[str, ...]] = {}
        for signal in signals:
            if isinstance(signal, EventCreated):
                event = signal.event
                conversation = event.application_id, event.conversation_id
                if event.id is not None:
                    last[conversation] = event.id
                    if event.type in MEMBERSHIP:
                        people[conversation] = (*people.get(conversation, ()), event.body["user"]["id"])
                else:
                    yield self._ephemeral_events.of(event)
            elif isinstance(signal, UserUpdated | UserDeleted):
                changed[signal.application_id] = (*changed.get(signal.application_id, ()), signal.user.id)
        for application_id, user_ids in changed.items():
            yield LogAdvanced(application_id, "", 1, user_ids)
        for conversation, id in last.items():
            yield LogAdvanced(*conversation, id, people.get(conversation, ()))
