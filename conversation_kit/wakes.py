"""What a broker is told, as it waits to be sent and as it is written."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator

from conversation_kit.domain.values import MAX_INTEGER
from conversation_kit.ports import News, Wake, Whisper

MAX_TEXT = 7_900
"""Characters of one text, all of them ASCII. PostgreSQL's notifications end below 8,000 bytes."""

MAX_PENDING = 10_000
"""Conversations that may wait to be told of while the server is away; of those beyond, listeners learn from the log alone."""


MAX_WHISPERS = 1_000
"""Ephemeral events that may wait; of those beyond the oldest are lost."""

MAX_USERS = 32
"""Users that one wake may name; what those beyond have come to or left is found by looking."""


class Pending:
    """News that waits to be sent, one wake for each conversation. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakes: dict[tuple[str, str], Wake] = {}
        self._whispers: deque[Whisper] = deque(maxlen=MAX_WHISPERS)

    def __len__(self) -> int:
        return len(self._wakes) + len(self._whispers)

    def add(self, news: Iterable[News]) -> bool:
        """Merge wakes by conversation; the highest id counts. Tells whether nothing waited before, so that nobody knows of any yet."""
        with self._lock:
            nothing_waited = not self
            for one in news:
                if isinstance(one, Whisper):
                    self._whispers.append(one)
                    continue
                key = one.application_id, one.conversation_id
                known = self._wakes.get(key)
                if known is not None:
                    self._wakes[key] = _merged(known, one)
                elif len(self._wakes) < MAX_PENDING:
                    self._wakes[key] = one
        return nothing_waited

    def add_again(self, news: Iterable[News]) -> None:
        """Take back what could not be sent. Whispers are of the moment, and would come when it is over."""
        self.add(one for one in news if isinstance(one, Wake))

    def take(self) -> list[News]:
        """All of it; nothing waits afterwards."""
        with self._lock:
            news: list[News] = [*self._wakes.values(), *self._whispers]
            self._wakes = {}
            self._whispers.clear()
        return news


def _merged(one: Wake, other: Wake) -> Wake:
    user_ids = dict.fromkeys((*one.user_ids, *other.user_ids)) if other.user_ids else one.user_ids
    return Wake(one.application_id, one.conversation_id, max(one.last_id, other.last_id), tuple(user_ids)[:MAX_USERS])


def write(news: Iterable[News]) -> Iterator[str]:
    """Texts that hold all of it, each of at most ``MAX_TEXT`` characters of ASCII. What fits into none is left out."""
    parts: list[str] = []
    size = 1
    for one in news:
        part = json.dumps(_fields(one), separators=(",", ":"))
        if len(part) + 2 > MAX_TEXT:
            continue
        if parts and size + len(part) + 1 > MAX_TEXT:
            yield f"[{','.join(parts)}]"
            parts, size = [], 1
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield f"[{','.join(parts)}]"


def _fields(one: News) -> list[object]:
    if isinstance(one, Whisper):
        return [one.application_id, one.conversation_id, one.id, one.data]
    return [one.application_id, one.conversation_id, one.last_id, *one.user_ids[:MAX_USERS]]


def read(text: str) -> list[News]:
    """The news of a text. Raises ``ValueError`` for one that ``write`` does not write."""
    if len(text) > MAX_TEXT:
        raise ValueError("it is too long")
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    if not isinstance(found, list):
        raise ValueError("it is no list")
    return [_read(entry) for entry in found]


def _read(entry: object) -> News:
    match entry:
        case [str(application_id), str(conversation_id), str(id), str(data)]:
            return Whisper(application_id, conversation_id, id, data)
        case [str(application_id), str(conversation_id), int(last_id), *user_ids] if (
            0 < last_id <= MAX_INTEGER and last_id is not True and all(isinstance(user_id, str) for user_id in user_ids)
        ):
            return Wake(application_id, conversation_id, last_id, tuple(map(str, user_ids)))
    raise ValueError("it holds something else than [application id, conversation id, last event id, user ids...] and whispers")
