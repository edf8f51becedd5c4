"""Wake-ups over NATS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import nats
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from conversation_kit.brokers.threaded import ThreadedBroker

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5
CLOSE_SECONDS = 1.0
PING_SECONDS = 10
"""Seconds between two checks of a connection on which nothing happens."""


class NatsBroker(ThreadedBroker):
    """A ``Broker``. ``url`` is ``nats://[user:password@]host[:port]`` (``tls://`` for TLS), several with commas between.

    Everybody on one ``subject`` hears everybody. JetStream is not needed. NATS has a client for asyncio only, and no other one is needed.
    """

    def __init__(self, url: str, *, subject: str = "conversation_kit") -> None:
        super().__init__()
        self._servers = url.split(",")
        self._subject = subject

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        """See ``ThreadedBroker.sender``."""
        flight = anyio.CancelScope()
        failed: Exception | None = None

        async def fail(error: Exception) -> None:
            nonlocal failed
            failed = error
            flight.cancel()  # the client would go on waiting for the answer of a server that is gone

        async with self._client(fail) as client:

            async def send(text: str) -> None:
                nonlocal flight
                with anyio.CancelScope() as flight:
                    if failed is None:
                        await client.publish(self._subject, text.encode())
                        await client.flush(ANSWER_SECONDS)
                if failed is not None:
                    raise failed

            yield send

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[AsyncIterator[str]]:
        """See ``ThreadedBroker.receiver``."""
        errors: list[Exception] = []

        async def note(error: Exception) -> None:
            errors.append(error)  # most of them end the connection, and with it the texts

        async with self._client(note) as client:
            subscription = await client.subscribe(self._subject)
            await client.flush(ANSWER_SECONDS)
            if errors:  # the server does not allow it
                raise errors[0]
            yield _texts(subscription)

    @asynccontextmanager
    async def _client(self, error: Callable[[Exception], Awaitable[None]]) -> AsyncIterator[Client]:
        # Connecting again is the kit's business, which has to know of it.
        client = await nats.connect(
            self._servers,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # at first it tries again all the same
            reconnect_time_wait=0,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            error_cb=error,
        )
        try:
            yield client
        finally:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await client.close()


async def _texts(subscription: Subscription) -> AsyncIterator[str]:
    async for message in subscription.messages:
        yield message.data.decode(errors="replace")
