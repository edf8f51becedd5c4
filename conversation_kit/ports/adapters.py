"""Adapters that are installed, by the scheme of a URL."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from conversation_kit.domain.errors import ConfigurationError


def find_adapter(noun: str, scheme: str, extras: Mapping[str, str]) -> Any:
    """Return what makes the ``noun`` (``storage``, ``broker``, ``meter``) of URLs with this scheme; ``None`` if nobody does.

    Adapters register under the entry point group ``conversation_kit.storages`` and its like. Raises ``ConfigurationError`` when one lacks
    something; ``extras`` are those that bring it, by the adapter's module.
    """
    for entry_point in entry_points(group=f"conversation_kit.{noun}s", name=scheme):
        try:
            return entry_point.load()
        except ModuleNotFoundError as error:
            extra = extras.get(entry_point.module)
            hint = f": pip install 'conversation-kit[{extra}]'." if extra else "."
            raise ConfigurationError(f"The {noun} {scheme!r} needs {error.name}{hint}") from error
    return None
