"""Clients of a Redis server, as its URL describes it."""

from __future__ import annotations

from coredis import Redis
from coredis.retry import NoRetryPolicy

from conversation_kit.domain.errors import ConfigurationError

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0


def plain_url(noun: str, url: str) -> str:
    """Return the URL in the words of the client. Raises ``ConfigurationError`` for one that cannot be used for this ``noun``."""
    scheme, separator, rest = url.partition("://")
    plain = scheme.replace("valkey", "redis") + separator + rest
    try:
        make_client(plain)
    except ValueError as error:
        raise ConfigurationError(f"The {noun}'s URL cannot be used: {error}") from error
    return plain


def make_client(url: str) -> Redis[str]:
    """Return a client with one connection. Connecting again is the kit's business, which has to know of it."""
    return Redis.from_url(
        url,
        decode_responses=True,
        retry_policy=NoRetryPolicy(),
        connect_timeout=CONNECT_SECONDS,
        stream_timeout=ANSWER_SECONDS,
        max_connections=1,
    )
