"""The broker port: carrying news between several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable


@dataclass(frozen=True, slots=True)
class LogAdvanced:
    """Somebody has committed events of a conversation, up to ``last_id`` at least; ``user_ids`` have come to it or left it with them.

    Without a ``conversation_id`` it is these users that have changed, or are gone.
    """

    application_id: str
    conversation_id: str
    last_id: int
    user_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EphemeralEvent:
    """An ephemeral event, which is in no log: ``data`` is its JSON, of up to 131,072 characters.

    ``id`` is another one for each, and who has heard it ignores it. It is checked when it is heard, so a broker may pass on anything.
    """

    application_id: str
    conversation_id: str
    id: str
    data: str


BrokerMessage: TypeAlias = LogAdvanced | EphemeralEvent


@runtime_checkable
class Broker(Protocol):
    """Broker that lets the processes that share a storage know that there is something to read.

    It carries no truth. What it loses, doubles, delays or puts out of order costs time only, for the log is read once in a while anyway;
    an ephemeral event that it loses is lost. What it raises is logged. ``conversation_kit.brokers.threaded.ThreadedBroker`` is most of
    one that has a server.
    """

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        """Pass these on to everybody who listens, in other processes too, soon. Called after the commit; never waits for a server."""

    async def listen(self, heard: Callable[[BrokerMessage], None]) -> None:
        """Call ``heard``, on this event loop, for whatever is told from now on; until cancelled. Run again when it raises or returns."""


@runtime_checkable
class Buffered(Protocol):
    """Broker that keeps messages until they are sent, and tells how many there are."""

    @property
    def waiting(self) -> int:
        """Number of messages that wait to be sent from this process. Never waits."""
        ...


@runtime_checkable
class Connected(Protocol):
    """Broker whose connections stay open between two calls; a broker may have these methods besides."""

    async def open(self) -> None:
        """Try to connect. What is wrong is logged and not raised, since the kit works without; every use does the same if need be."""

    async def close(self) -> None:
        """Release what it holds; whoever listens comes to an end. The next use begins anew."""
