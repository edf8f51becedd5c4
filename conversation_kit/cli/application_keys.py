"""The applications that `serve` is told of, each with its public keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from conversation_kit.auth.key_sources import Applications
from conversation_kit.auth.keys import KeyRing
from conversation_kit.domain.errors import ConfigurationError


def applications_of(entries: Iterable[str]) -> dict[str, Applications]:
    """Return the keys of the applications that ``ID=KEY`` name, where ``KEY`` is a file in PEM, a JSON Web Key Set or the URL of one.

    PEM files are read now, key sets again and again. Raises ``ConfigurationError``, and ``OSError`` for files that cannot be read.
    """
    given: dict[str, list[str]] = {}
    for entry in entries:
        application_id, equals, key = entry.partition("=")
        if not (application_id and equals and key):
            raise ConfigurationError(f"--application takes ID=KEY, a file or the URL of a JSON Web Key Set, not {entry!r}.")
        given.setdefault(application_id, []).append(key)
    return {application_id: _keys(application_id, keys) for application_id, keys in given.items()}


def _keys(application_id: str, keys: list[str]) -> Applications:
    texts = {key: None if _is_url(key) else Path(key).read_bytes() for key in keys}
    sets = [key for key, text in texts.items() if text is None or text.lstrip().startswith(b"{")]
    if not sets:
        return [text for text in texts.values() if text is not None]
    if len(keys) > 1:
        raise ConfigurationError(f"--application {application_id}={sets[0]} is a set of all its keys: give no other one beside it.")
    if texts[sets[0]] is None:
        return sets[0]
    KeyRing.of_jwks(application_id, _key_set(Path(sets[0])))  # what is wrong with it now is told now
    return partial(_key_set, Path(sets[0]))


def _is_url(key: str) -> bool:
    return key.lower().startswith(("https://", "http://"))


def _key_set(file: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{file} is no JSON: {error}.") from error
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ConfigurationError(f"{file} is no JSON Web Key Set: it has no list of keys.")
    return document
