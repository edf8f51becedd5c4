"""News for a broker, as it waits to be sent and as it is written."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator

from conversation_kit.brokers.parts import MAX_PARTS, Part, split
from conversation_kit.domain.values.checks import MAX_INTEGER
from conversation_kit.ports import BrokerMessage, EphemeralEvent, LogAdvanced

MAX_TEXT = 7_900
"""Characters of one text, all of them ASCII. PostgreSQL's notifications end below 8,000 bytes."""

MAX_PENDING = 10_000
"""Conversations that may wait to be told of while the server is away; of those beyond, listeners learn from the log alone."""


MAX_EPHEMERAL_EVENTS = 1_000
MAX_EPHEMERAL_CHARACTERS = 4_000_000
"""Ephemeral events that may wait, and characters of their JSON; of those beyond the oldest are lost."""

MAX_USERS = 32
"""Users that one wake may name; what those beyond have come to or left is found by looking."""


class PendingMessages:
    """News that waits to be sent, one wake for each conversation. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._advanced: dict[tuple[str, str], LogAdvanced] = {}
        self._ephemeral: deque[EphemeralEvent] = deque()
        self._ephemeral_characters = 0

    def __len__(self) -> int:
        return len(self._advanced) + len(self._ephemeral)

    def add(self, messages: Iterable[BrokerMessage]) -> bool:
        """Merge wakes by conversation; the highest id counts. Tells whether nothing waited before, so that nobody knows of any yet."""
        with self._lock:
            nothing_waited = not self
            for one in messages:
                if isinstance(one, EphemeralEvent):
                    self._add_ephemeral(one)
                    continue
                key = one.application_id, one.conversation_id
                known = self._advanced.get(key)
                if known is not None:
                    self._advanced[key] = _merged(known, one)
                elif len(self._advanced) < MAX_PENDING:
                    self._advanced[key] = one
        return nothing_waited

    def _add_ephemeral(self, one: EphemeralEvent) -> None:
        self._ephemeral.append(one)
        self._ephemeral_characters += len(one.data)
        while len(self._ephemeral) > MAX_EPHEMERAL_EVENTS or self._ephemeral_characters > MAX_EPHEMERAL_CHARACTERS:
            self._ephemeral_characters -= len(self._ephemeral.popleft().data)

    def add_again(self, messages: Iterable[BrokerMessage]) -> None:
        """Take back what could not be sent. Whispers are of the moment, and would come when it is over."""
        self.add(one for one in messages if isinstance(one, LogAdvanced))

    def take(self) -> list[BrokerMessage]:
        """Return all of it; nothing waits afterwards."""
        with self._lock:
            messages: list[BrokerMessage] = [*self._advanced.values(), *self._ephemeral]
            self._advanced = {}
            self._ephemeral.clear()
            self._ephemeral_characters = 0
        return messages


def _merged(one: LogAdvanced, other: LogAdvanced) -> LogAdvanced:
    user_ids = dict.fromkeys((*one.user_ids, *other.user_ids)) if other.user_ids else one.user_ids
    return LogAdvanced(one.application_id, one.conversation_id, max(one.last_id, other.last_id), tuple(user_ids)[:MAX_USERS])


def write(messages: Iterable[BrokerMessage]) -> Iterator[str]:
    """Yield texts that hold all of it, each of at most ``MAX_TEXT`` characters of ASCII; a long ephemeral event is in several.

    What has ids of which not even a part fits into a text is left out.
    """
    entries: list[str] = []
    size = 1
    for one in messages:
        for entry in _entries(one):
            if entries and size + len(entry) + 1 > MAX_TEXT:
                yield f"[{','.join(entries)}]"
                entries, size = [], 1
            entries.append(entry)
            size += len(entry) + 1
    if entries:
        yield f"[{','.join(entries)}]"


def _entries(one: BrokerMessage) -> Iterator[str]:
    entry = _to_json(_fields(one))
    if len(entry) + 2 <= MAX_TEXT:
        yield entry
    elif isinstance(one, EphemeralEvent):
        yield from map(_to_json, split(one, MAX_TEXT - 2))


def _to_json(fields: list[object]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _fields(one: BrokerMessage) -> list[object]:
    if isinstance(one, EphemeralEvent):
        return [one.application_id, one.conversation_id, one.id, one.data]
    return [one.application_id, one.conversation_id, one.last_id, *one.user_ids[:MAX_USERS]]


def read(text: str) -> list[BrokerMessage | Part]:
    """Return the news of a text, and parts for ``Parts`` to put together. Raises ``ValueError`` for one that ``write`` does not write."""
    if len(text) > MAX_TEXT:
        raise ValueError("it is too long")
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    if not isinstance(found, list):
        raise ValueError("it is no list")
    return [_read(entry) for entry in found]


def _read(entry: object) -> BrokerMessage | Part:
    match entry:
        case [str(application_id), str(conversation_id), str(id), str(data)]:
            return EphemeralEvent(application_id, conversation_id, id, data)
        case [str(application_id), str(conversation_id), str(id), int(number), int(count), str(data)] if 0 <= number < count <= MAX_PARTS:
            return Part(application_id, conversation_id, id, number, count, data)
        case [str(application_id), str(conversation_id), int(last_id), *user_ids] if (
            0 < last_id <= MAX_INTEGER and last_id is not True and all(isinstance(user_id, str) for user_id in user_ids)
        ):
            return LogAdvanced(application_id, conversation_id, last_id, tuple(map(str, user_ids)))
    raise ValueError("it holds something else than [application id, conversation id, last event id, user ids...] and ephemeral events")
