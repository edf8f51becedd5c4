"""Wakes as they wait to be sent, and as they are written."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator

from conversation_kit.domain.values import MAX_INTEGER
from conversation_kit.ports import Wake

MAX_TEXT = 7_900
"""Characters of one text, all of them ASCII. PostgreSQL's notifications end below 8,000 bytes."""

MAX_PENDING = 10_000
"""Conversations that may wait to be told of while the server is away; of those beyond, listeners learn from the log alone."""


MAX_USERS = 32
"""Users that one wake may name; what those beyond have come to or left is found by looking."""


class Pending:
    """Wakes that wait to be sent, one for each conversation. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakes: dict[tuple[str, str], Wake] = {}

    def __len__(self) -> int:
        return len(self._wakes)

    def add(self, wakes: Iterable[Wake]) -> bool:
        """Merge them by conversation; the highest id counts. Tells whether none waited before, so that nobody knows of any yet."""
        with self._lock:
            none_waited = not self._wakes
            for wake in wakes:
                key = wake.application_id, wake.conversation_id
                known = self._wakes.get(key)
                if known is not None:
                    self._wakes[key] = _merged(known, wake)
                elif len(self._wakes) < MAX_PENDING:
                    self._wakes[key] = wake
        return none_waited

    def take(self) -> list[Wake]:
        """All of them; none wait afterwards."""
        with self._lock:
            wakes, self._wakes = self._wakes, {}
        return list(wakes.values())


def _merged(one: Wake, other: Wake) -> Wake:
    user_ids = dict.fromkeys((*one.user_ids, *other.user_ids)) if other.user_ids else one.user_ids
    return Wake(one.application_id, one.conversation_id, max(one.last_id, other.last_id), tuple(user_ids)[:MAX_USERS])


def write(wakes: Iterable[Wake]) -> Iterator[str]:
    """Texts that hold them all, each of at most ``MAX_TEXT`` characters of ASCII. A wake that fits into none is left out."""
    parts: list[str] = []
    size = 1
    for wake in wakes:
        fields = [wake.application_id, wake.conversation_id, wake.last_id, *wake.user_ids[:MAX_USERS]]
        part = json.dumps(fields, separators=(",", ":"))
        if len(part) + 2 > MAX_TEXT:
            continue
        if parts and size + len(part) + 1 > MAX_TEXT:
            yield f"[{','.join(parts)}]"
            parts, size = [], 1
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield f"[{','.join(parts)}]"


def read(text: str) -> list[Wake]:
    """The wakes of a text. Raises ``ValueError`` for one that ``write`` does not write."""
    if len(text) > MAX_TEXT:
        raise ValueError("it is too long")
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    if not isinstance(found, list):
        raise ValueError("it is no list")
    wakes = []
    for entry in found:
        match entry:
            case [str(application_id), str(conversation_id), int(last_id), *user_ids] if (
                0 < last_id <= MAX_INTEGER and last_id is not True and all(isinstance(user_id, str) for user_id in user_ids)
            ):
                wakes.append(Wake(application_id, conversation_id, last_id, tuple(user_ids)))
            case _:
                raise ValueError("it holds something else than [application id, conversation id, last event id, user ids...]")
    return wakes
