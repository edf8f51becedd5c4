"""Ephemeral events that are longer than what a broker sends at once, and go in parts."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from conversation_kit.ports import BrokerMessage, EphemeralEvent

MAX_DATA = 131_072
"""Characters of an ephemeral event's JSON: twice as much as the longest body."""

MAX_PARTS = 512
MAX_UNFINISHED = 32
"""Events of which some parts are there; when there are more, those that were begun first are lost."""

LONGEST = {True: 2, False: 12}
"""Characters of ASCII that one of a text becomes at most in JSON, by whether the text is ASCII. It is JSON itself, which has no control
characters in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The ``number``-th of ``count`` parts of an ephemeral event, counted from 0."""

    application_id: str
    conversation_id: str
    id: str
    number: int
    count: int
    data: str


def split(event: EphemeralEvent, room: int) -> Iterator[list[object]]:
    """Yield entries that hold the event, each of at most ``room`` characters of JSON; none if the ids alone leave none for the rest."""
    head: list[object] = [event.application_id, event.conversation_id, event.id]
    size = (room - len(json.dumps([*head, MAX_PARTS, MAX_PARTS, ""]))) // LONGEST[event.data.isascii()]
    pieces = [event.data[at : at + size] for at in range(0, len(event.data), size)] if size > 0 else []
    if len(pieces) <= MAX_PARTS:
        for number, piece in enumerate(pieces):
            yield [*head, number, len(pieces), piece]


@dataclass(slots=True)
class _Unfinished:
    count: int
    pieces: dict[int, str] = field(default_factory=dict)
    size: int = 0


class Parts:
    """Memory of ephemeral events that come in parts, in whatever order, until they are whole."""

    def __init__(self) -> None:
        self._unfinished: OrderedDict[tuple[str, str, str], _Unfinished] = OrderedDict()

    def whole(self, heard: Iterable[BrokerMessage | Part]) -> list[BrokerMessage]:
        """Return all that is complete, with events whose last part is among these. Parts that do not fit together are forgotten."""
        return [found for one in heard if (found := self._add(one) if isinstance(one, Part) else one) is not None]

    def _add(self, part: Part) -> EphemeralEvent | None:
        key = part.application_id, part.conversation_id, part.id
        one = self._unfinished.setdefault(key, _Unfinished(part.count))
        one.size += len(part.data) if part.number not in one.pieces else 0
        one.pieces[part.number] = part.data
        if part.count != one.count or one.size > MAX_DATA:
            del self._unfinished[key]
        elif len(one.pieces) == one.count:
            del self._unfinished[key]
            return EphemeralEvent(*key, "".join(piece for _, piece in sorted(one.pieces.items())))
        if len(self._unfinished) > MAX_UNFINISHED:
            self._unfinished.popitem(last=False)
        return None
