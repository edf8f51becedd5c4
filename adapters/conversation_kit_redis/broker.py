"""Wake-ups over the publish and subscribe of Redis and Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from coredis.patterns.pubsub import PubSub
from coredis.retry import NoRetryPolicy

from conversation_kit.brokers.threaded import ThreadedBroker
from conversation_kit_redis.client import make_client, plain_url


class RedisBroker(ThreadedBroker):
    """A ``Broker``. ``url`` is ``redis://[[user:]password@]host[:port]`` (``rediss://`` for TLS; or ``valkey://``, ``valkeys://``).

    Everybody on one ``channel`` hears everybody. Redis keeps nothing of it, whatever it is set to. Raises ``ConfigurationError``.
    """

    def __init__(self, url: str, *, channel: str = "conversation_kit") -> None:
        super().__init__()
        self._url = plain_url("broker", url)
        self._channel = channel

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        """See ``ThreadedBroker.sender``."""
        async with make_client(self._url) as client:
            await client.ping()

            async def send(text: str) -> None:
                await client.publish(self._channel, text)

            yield send

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[AsyncIterator[str]]:
        """See ``ThreadedBroker.receiver``."""
        async with (
            make_client(self._url) as client,
            client.pubsub(channels=[self._channel], ignore_subscribe_messages=True, retry_policy=NoRetryPolicy()) as subscription,
        ):
            yield _texts(subscription)


async def _texts(subscription: PubSub[Any]) -> AsyncIterator[str]:
    async for message in subscription:
        yield str(message["data"])
