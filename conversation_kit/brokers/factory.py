"""Brokers by their URLs."""

from __future__ import annotations

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.ports import Broker, Storage
from conversation_kit.ports.adapters import find_adapter

EXTRAS = {"conversation_kit_redis": "redis", "conversation_kit_nats": "nats", "conversation_kit_sql": "postgres"}
"""The extras that bring what the kit's own adapters need."""

STORAGE = ("postgres", "postgresql")
"""Names that stand for the database of the storage."""


def make_broker(source: str | Broker, storage: Storage) -> Broker:
    """Return the broker of a URL, as an installed adapter registers it for the scheme; or ``source`` itself, if it is a broker.

    ``postgres`` alone is the database of ``storage``. Adapters register under the entry point group ``conversation_kit.brokers``. Raises
    ``ConfigurationError``.
    """
    if not isinstance(source, str):
        if isinstance(source, type) or not isinstance(source, Broker):
            raise ConfigurationError(f"broker= takes a URL or an object with the methods tell and listen, and not {source!r}.")
        return source
    scheme, separator, _ = source.partition("://")
    url = source if separator else _url_of(source, storage)
    adapter = find_adapter("broker", scheme.partition("+")[0], EXTRAS)
    if adapter is None:
        raise ConfigurationError(
            f"No installed broker serves {scheme!r}: use postgres, redis://host or nats://host, or install its adapter."
        )
    broker: Broker = adapter(url)
    return broker


def _url_of(name: str, storage: Storage) -> str:
    if name not in STORAGE:
        raise ConfigurationError(f"broker= takes a URL, such as redis://localhost or nats://localhost, or postgres, and not {name!r}.")
    url = getattr(storage, "url", None)
    if not isinstance(url, str) or not url.startswith("postgresql"):
        raise ConfigurationError(
            f"The broker {name!r} is the storage's PostgreSQL, and the storage has none: give it a URL postgresql://..."
        )
    return url
