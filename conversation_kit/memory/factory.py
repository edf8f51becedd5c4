"""Storages by their URLs."""

from __future__ import annotations

from typing import Any

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.memory.storage import MemoryStorage
from conversation_kit.ports import Storage
from conversation_kit.ports.adapters import find_adapter

EXTRAS = {"conversation_kit_sql": "sql"}
"""The extra that brings what the kit's own storage needs."""


def make_storage(url: str, **options: Any) -> Storage:
    """Return the storage of a URL: in memory for ``memory://``, otherwise as an installed adapter registers it for the scheme.

    Adapters register under the entry point group ``conversation_kit.storages``; they get the ``options`` as they are. Raises
    ``ConfigurationError``.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme == "memory":
        return MemoryStorage()
    adapter = find_adapter("storage", scheme, EXTRAS)
    if adapter is None:
        raise ConfigurationError(f"No installed storage serves {scheme!r}: use memory:// or sqlite:///file.db, or install its adapter.")
    try:
        storage: Storage = adapter(url, **options)
    except TypeError as error:
        if not options:
            raise
        raise ConfigurationError(f"The storage {scheme!r} does not take {', '.join(options)}: {error}") from error
    return storage
