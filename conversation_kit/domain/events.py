"""An event of a conversation's log, serialised once when it is made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring as quoted
from typing import Any, Final

from conversation_kit.domain.immutable import immutable
from conversation_kit.domain.models import JSONObject, Receipt, ReceiptKind
from conversation_kit.domain.times import parse_instant, to_text
from conversation_kit.domain.values import to_json

SEPARATOR: Final = ",\n"
"""What stands between the events of a page: no compact JSON text has a line break, so that a page can be taken apart again."""

HREF: Final = '"\\/'
"""How the ``href`` in an event's ``data`` begins: a JSON string that begins with an escaped slash, which the kit writes nowhere else."""

_HREF = re.compile(re.escape(HREF))


@immutable
class Event:
    """One entry of a conversation's log.

    ``id`` is its position: 1, 2, 3, ... without holes; ``None`` for an ephemeral event, which is delivered
    and not kept. ``data`` is the JSON text with ``id``, ``type``, ``from``, ``to``, ``timestamp``, ``body`` and ``href``
    (in this order, absent keys left out) that every reader gets; the other attributes are read from it. Only the ``href``
    depends on who reads it: see ``located``. ``messages`` says how many of the conversation's messages lie at this event
    or before; it is known of events that are new or in a ``Scene``, and no part of what an event is.
    """

    application_id: str
    conversation_id: str
    id: int | None
    data: str
    receipts: Sequence[Receipt] = ()
    messages: int = field(default=0, compare=False)
    _fields: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def compose(
        cls,
        application_id: str,
        conversation_id: str,
        id: int | None,
        *,
        type: str,
        body: JSONObject,
        timestamp: datetime,
        sender: str | None = None,
        to: str | None = None,
        body_text: str | None = None,
        messages: int = 0,
    ) -> Event:
        """Make an event and serialise it; ``body_text`` is the body's JSON when the caller has it already."""
        at = to_text(timestamp)
        fields: dict[str, Any] = {"type": type, "timestamp": at, "body": body}
        people = ""
        if sender is not None:
            fields["from"] = sender
            people = f',"from":{quoted(sender)}'
        if to is not None:
            fields["to"] = to
            people = f'{people},"to":{quoted(to)}'
        text = f'"type":{quoted(type)}{people},"timestamp":"{at}","body":{body_text or to_json(body)}'
        data = f"{{{text}}}" if id is None else f'{{"id":"{id}",{text},"href":{HREF}{id}"}}'
        return cls(application_id, conversation_id, id, data, (), messages, fields)

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed ``data``."""
        if self._fields is None:
            object.__setattr__(self, "_fields", json.loads(self.data))
        assert self._fields is not None
        return self._fields

    @property
    def type(self) -> str:
        """Such as ``text``, ``member:joined`` or ``custom:rating``."""
        return str(self.fields["type"])

    @property
    def sender(self) -> str | None:
        """The id of the member the event is from (``from`` on the wire), ``None`` when an admin sent it."""
        return self.fields.get("from")

    @property
    def to(self) -> str | None:
        """The id of the member it is meant for, if it names one."""
        return self.fields.get("to")

    @property
    def body(self) -> dict[str, Any]:
        """What the event says; ``{"timestamp": {"deleted": ...}}`` once it was deleted."""
        body: dict[str, Any] = self.fields["body"]
        return body

    @property
    def timestamp(self) -> datetime:
        """When it was made."""
        return parse_instant(self.fields["timestamp"])

    @property
    def is_deleted(self) -> bool:
        """Whether the event is a tombstone (SEMANTICS 3.4)."""
        return is_tombstone(self.body)

    @property
    def state(self) -> dict[str, dict[str, str]]:
        """The receipts by kind and member: ``{"seen_by": {"MEM-...": "2026-01-01T00:00:00.000Z"}}``."""
        return receipts_state(self.receipts)


@dataclass(slots=True)
class EventPage:
    """Some events of one conversation as stored.

    ``ids`` are theirs, in the order of the page; ``text`` is the ``data`` of all of them with ``SEPARATOR`` between; ``receipts`` are
    by event id.
    """

    application_id: str
    conversation_id: str
    ids: Sequence[int]
    text: str
    receipts: Mapping[int, Sequence[Receipt]] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[int, str]]:
        """The events as ``(id, data)``."""
        return list(zip(self.ids, self.text.split(SEPARATOR), strict=True)) if self.ids else []

    def events(self) -> list[Event]:
        """The events as such."""
        return [Event(self.application_id, self.conversation_id, id, data, self.receipts.get(id, ())) for id, data in self.rows]


def located(text: str, prefix: str) -> str:
    """The ``data`` of one or many events with hrefs that begin with ``prefix``, which is a URL."""
    # Not str.replace, which takes twice as long over a page: it stops at every quotation mark.
    return _HREF.sub('"' + prefix.replace("\\", "%5C"), text)


def located_page(text: str, count: int, prefix: str) -> bytes:
    """The ``data`` of ``count`` events as ``located`` has them, in UTF-8; ``prefix`` ends with a slash."""
    # One byte is replaced in a fifth of the time that a pattern takes. When there were no more of them than hrefs, all were those of hrefs:
    # each event has one.
    raw = text.encode()
    base = prefix[:-1].replace("\\", "%5C").encode()
    page = raw.replace(b"\\", base, count + 1)
    return page if len(page) == len(raw) + count * (len(base) - 1) else located(text, prefix).encode()


def is_tombstone(body: JSONObject) -> bool:
    """Whether this is what the server leaves of a deleted event's body; no client may post it."""
    times = body.get("timestamp")
    return len(body) == 1 and isinstance(times, Mapping) and "deleted" in times


def receipts_state(receipts: Sequence[Receipt]) -> dict[str, dict[str, str]]:
    """The ``state`` of an event with these receipts; empty when there are none."""
    state: dict[str, dict[str, str]] = {}
    for receipt in receipts:
        state.setdefault(ReceiptKind(receipt.kind).value, {})[receipt.member_id] = to_text(receipt.timestamp)
    return state
