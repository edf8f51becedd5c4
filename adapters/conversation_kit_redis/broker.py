"""Wake-ups over the publish and subscribe of Redis and Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from coredis import Redis
from coredis.patterns.pubsub import PubSub
from coredis.retry import NoRetryPolicy

from conversation_kit.brokers.threaded import ThreadedBroker
from conversation_kit.domain.errors import ConfigurationError

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0


class RedisBroker(ThreadedBroker):
    """A ``Broker``. ``url`` is ``redis://[[user:]password@]host[:port]`` (``rediss://`` for TLS; or ``valkey://``, ``valkeys://``).

    Everybody on one ``channel`` hears everybody. Redis keeps nothing of it, whatever it is set to. Raises ``ConfigurationError``.
    """

    def __init__(self, url: str, *, channel: str = "conversation_kit") -> None:
        super().__init__()
        scheme, separator, rest = url.partition("://")
        self._url = scheme.replace("valkey", "redis") + separator + rest
        self._channel = channel
        try:
            self._client()
        except ValueError as error:
            raise ConfigurationError(f"The broker's URL cannot be used: {error}") from error

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        """See ``ThreadedBroker.sender``."""
        async with self._client() as client:
            await client.ping()

            async def send(text: str) -> None:
                await client.publish(self._channel, text)

            yield send

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[AsyncIterator[str]]:
        """See ``ThreadedBroker.receiver``."""
        async with (
            self._client() as client,
            client.pubsub(channels=[self._channel], ignore_subscribe_messages=True, retry_policy=NoRetryPolicy()) as subscription,
        ):
            yield _texts(subscription)

    def _client(self) -> Redis[str]:
        # Connecting again is the kit's business, which has to know of it.
        return Redis.from_url(
            self._url,
            decode_responses=True,
            retry_policy=NoRetryPolicy(),
            connect_timeout=CONNECT_SECONDS,
            stream_timeout=ANSWER_SECONDS,
            max_connections=1,
        )


async def _texts(subscription: PubSub[Any]) -> AsyncIterator[str]:
    async for message in subscription:
        yield str(message["data"])
