"""Updates that merge: what is absent stays, ``null`` clears (replaceConversation, updateUser, updateMember; docs/api.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conversation_kit.domain.models import JSONObject


def merged(old: JSONObject, patch: JSONObject | None) -> JSONObject:
    """Return ``old`` after a JSON merge patch (RFC 7396): objects merge key by key at every level, and ``None`` takes a key away.

    Everything else, lists included, replaces what was there. ``None`` for the patch clears all.
    """
    if patch is None:
        return {}
    new = dict(old)
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        else:
            new[name] = _merged(new.get(name), value)
    return new


def _merged(old: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return merged(old if isinstance(old, Mapping) else {}, value)
