"""An event of a conversation's log, serialised once when it is made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring as quoted
from typing import Any, Final

from conversation_kit.domain.event_types import is_tombstone
from conversation_kit.domain.models import JSONObject, Receipt, ReceiptKind
from conversation_kit.domain.reading import RECEIPT_BYTES, fitting
from conversation_kit.domain.values.checks import to_json
from conversation_kit.domain.values.immutable import immutable
from conversation_kit.domain.values.times import parse_instant, to_text

SEPARATOR: Final = ",\n"
"""Separator of the events of a page: no compact JSON text has a line break, so that a page can be taken apart again."""

HREF: Final = '"\\/'
"""Beginning of the ``href`` in an event's ``data``: a quotation mark and an escaped slash, which the kit writes nowhere else."""

_HREF = re.compile(re.escape(HREF))


@immutable
class Event:
    """One entry of a conversation's log.

    ``id`` is its position: 1, 2, 3, ... without holes; ``None`` for an ephemeral event, which is delivered
    and not kept. ``data`` is the JSON text with ``id``, ``type``, ``from``, ``to``, ``timestamp``, ``body`` and ``href``
    (in this order, absent keys left out) that every reader gets; the other attributes are read from it. Only the ``href``
    depends on who reads it: see ``located``. ``messages`` says how many of the conversation's messages lie at this event
    or before, or were deleted behind it: how many there are not to read for who has read this far. It is known of events that are new or
    in a ``Scene``, and no part of what an event is.
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
        """Body of the event; ``{"timestamp": {"deleted": ...}}`` once it was deleted."""
        body: dict[str, Any] = self.fields["body"]
        return body

    @property
    def timestamp(self) -> datetime:
        """Time at which the event was made."""
        return parse_instant(self.fields["timestamp"])

    @property
    def is_deleted(self) -> bool:
        """True if the event was emptied by deleteEvent."""
        return is_tombstone(self.type, self.body)

    @property
    def state(self) -> dict[str, dict[str, str]]:
        """The receipts by kind and member: ``{"seen_by": {"MEM-...": "2026-01-01T00:00:00.000Z"}}``."""
        return receipts_state(self.receipts)


@dataclass(slots=True)
class EventPage:
    """Some events of one conversation as stored.

    ``ids`` are theirs, in the order of the page; ``text`` is the ``data`` of all of them with ``SEPARATOR`` between; ``receipts`` are
    by event id. ``is_cut`` says that it ends before the range does, because of ``max_bytes``.
    ``rendered`` is for who answers with it: the JSON made of it last, with the address that this began its hrefs with. A storage may hand
    out the same page again and again.
    """

    application_id: str
    conversation_id: str
    ids: Sequence[int]
    text: str
    receipts: Mapping[int, Sequence[Receipt]] = field(default_factory=dict)
    is_cut: bool = False
    rendered: tuple[str, bytes] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        application_id: str,
        conversation_id: str,
        ids: Sequence[int],
        texts: Sequence[str],
        receipts: Mapping[int, Sequence[Receipt]],
        max_bytes: int | None,
    ) -> EventPage:
        """Return a page of these events, each with its ``data``, as far as they fit into ``max_bytes``."""
        text = SEPARATOR.join(texts)
        # No character has more than four bytes. One look at all of it: one at each text takes as long as joining them.
        weight = 4 * len(text) + (RECEIPT_BYTES * sum(map(len, receipts.values())) if receipts else 0)
        if max_bytes is not None and weight > max_bytes:
            sizes = (len(text.encode()) + RECEIPT_BYTES * len(receipts.get(id, ())) for id, text in zip(ids, texts, strict=True))
            count = fitting(sizes, max_bytes)
            if count < len(ids):
                ids, texts = ids[:count], texts[:count]
                receipts = {id: receipts[id] for id in ids if id in receipts}
                return cls(application_id, conversation_id, ids, SEPARATOR.join(texts), receipts, is_cut=True)
        return cls(application_id, conversation_id, ids, text, receipts)

    @property
    def rows(self) -> list[tuple[int, str]]:
        """The events as ``(id, data)``."""
        return list(zip(self.ids, self.text.split(SEPARATOR), strict=True)) if self.ids else []

    def events(self) -> list[Event]:
        """Return the events as ``Event`` objects."""
        return [Event(self.application_id, self.conversation_id, id, data, self.receipts.get(id, ())) for id, data in self.rows]


def located(text: str, prefix: str) -> str:
    """Return the ``data`` of one or many events with hrefs that begin with ``prefix``, which is a URL."""
    # Not str.replace, which takes twice as long over a page: it stops at every quotation mark.
    return _HREF.sub('"' + prefix.replace("\\", "%5C"), text)


def located_page(text: str, count: int, prefix: str) -> bytes:
    """Return the ``data`` of ``count`` events as ``located`` has them, in UTF-8; ``prefix`` ends with a slash."""
    # One byte is replaced in a fifth of the time that a pattern takes. When there were no more of them than hrefs, all were those of hrefs:
    # each event has one.
    raw = text.encode()
    base = prefix[:-1].replace("\\", "%5C").encode()
    page = raw.replace(b"\\", base, count + 1)
    return page if len(page) == len(raw) + count * (len(base) - 1) else located(text, prefix).encode()


def receipts_state(receipts: Sequence[Receipt]) -> dict[str, dict[str, str]]:
    """Return the ``state`` of an event with these receipts; empty when there are none."""
    state: dict[str, dict[str, str]] = {}
    for receipt in receipts:
        state.setdefault(ReceiptKind(receipt.kind).value, {})[receipt.member_id] = to_text(receipt.timestamp)
    return state
