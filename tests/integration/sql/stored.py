"""A little of everything that a storage keeps, as the rows that it is stored as, and what a storage has to answer that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Connection, MetaData, Table

from conversation_kit.domain.models import Conversation, Leg, LegStatus, Member, MemberState, Receipt, ReceiptKind, User
from conversation_kit.domain.reading import Access, EventRange, Page
from conversation_kit_sql import SQLStorage

A = "ap-plication ünï 🜚"
T = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LATER = T + timedelta(days=400, milliseconds=1)
ODD: dict[str, Any] = {
    "z": 1,
    "a": [1e-7, -0.5, 2**63, 10**30, True, None, ""],
    "": {"nested": [[], {}, [{"deep": "\u0000\u001f\u2028\\\"'%s :x"}]]},
    "emoji 👩‍👩‍👧": "ﷺ á a\u0301 \U0010ffff",
    "1.0": 1.0,
}

USERS = [User(A, f"USR-{number}", name, T + timedelta(milliseconds=number)) for number, name in enumerate(["ana", "Ana", "aná", "ana "])]
USERS += [User(A, "USR-9", "n" * 255, LATER, "Ünïcode 🙂", "https://x.example/" + "p" * 2000, {"app": [ODD]}, LATER)]
CONVERSATIONS = [
    Conversation(A, "CON-1", "room", T, "A room 🙂", "https://x.example/i.png", ODD, {"ttl": 5, **ODD}, "USR-1", 4, 2, 1, LATER),
    Conversation(A, "CON-2", "Room", LATER, sequence_number=0),
    Conversation("another", "CON-1", "room", T),
]
MEMBERS = [
    Member(
        A, "CON-1", "MEM-1", "USR-1", "Ana", MemberState.JOINED, {"type": "app", **ODD}, T, {"joined": {"isSystem": True}}, ODD, joined=T
    ),
    Member(A, "CON-1", "MEM-2", "USR-2", "aná", MemberState.INVITED, {"type": "phone"}, LATER, invited_by="USR-1", invited=LATER),
    Member(
        *(A, "CON-1", "MEM-3", "USR-9", "n" * 255, MemberState.LEFT, {"type": "app"}, LATER),
        invited=T,
        joined=T,
        left=LATER,
        display_name=USERS[-1].display_name,
        image_url=USERS[-1].image_url,
    ),
]
EVENTS = [
    (1, '{"type":"member:joined","from":"MEM-1","timestamp":"2026-01-02T03:04:05.678Z","body":{}}'),
    (2, json.dumps({"type": "custom:odd", "timestamp": "2026-01-02T03:04:05.678Z", "body": ODD}, ensure_ascii=False)),
    (3, json.dumps({"type": "text", "timestamp": "2026-01-02T03:04:05.678Z", "body": {"text": "é🙂" * 40_000}}, ensure_ascii=False)),
    (4, '{"type":"text","timestamp":"2026-01-02T03:04:05.678Z","body":{"timestamp":{"deleted":"2026-02-03T04:05:06.000Z"}}}'),
]
RECEIPTS = [
    Receipt("CON-1", 2, "MEM-1", ReceiptKind.DELIVERED, T, 3),
    Receipt("CON-1", 2, "MEM-1", ReceiptKind.SEEN, LATER, 4),
]
LEGS = [
    Leg(A, "leg-1", "app", LegStatus.STARTED, "outbound", T, "session", knocking_id="knock"),
    Leg(
        *(A, "LEG-1", "phone", LegStatus.COMPLETED, "inbound", LATER, "session", "CON-1", "MEM-2", None, ODD, {"number": "+1"}),
        *(T, LATER, 2**40, "0.0100", "12.34", "23410", ({"status": "started", "date": "2026-01-02T03:04:05.678Z"}, ODD)),
    ),
]


def _raw(value: Any) -> Any:
    """As the first revision stored it."""
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _rows(models: Sequence[Any], **more: Any) -> list[dict[str, Any]]:
    return [{**{field.name: _raw(getattr(model, field.name)) for field in fields(model)}, **more} for model in models]


ROWS = {
    "user": _rows(USERS),
    "conversation": _rows(CONVERSATIONS),
    "member": _rows(MEMBERS),
    "event": [{"application_id": A, "conversation_id": "CON-1", "id": id, "data": data} for id, data in EVENTS],
    "receipt": _rows(RECEIPTS, application_id=A),
    "leg": _rows(LEGS),
}
"""By table, without the prefix."""


def fill(connection: Connection, prefix: str) -> None:
    """Insert everything, whatever revision the tables are at. A column that came later has to have a default, or a value here."""
    for name, rows in ROWS.items():
        table = Table(f"{prefix}{name}", MetaData(), autoload_with=connection)
        there = set(table.c.keys())
        connection.execute(table.insert(), [{key: value for key, value in row.items() if key in there} for row in rows])


async def check(storage: SQLStorage) -> None:
    """Read everything back through the storage, which is open."""
    everything, access = Page(size=1000), Access(A, T)
    assert list((await storage.list_users(A, everything)).items) == USERS
    for user in USERS:
        assert await storage.get_user(A, name=user.name) == user
    assert list((await storage.list_conversations(A, everything, T)).items) == CONVERSATIONS[:2]
    assert list((await storage.list_conversations("another", everything, T)).items) == CONVERSATIONS[2:]
    assert list((await storage.list_members(access, "CON-1", everything)).items) == MEMBERS
    page = await storage.list_events(access, "CON-1", EventRange(1000))
    assert [tuple(row) for row in page.rows] == EVENTS
    assert {id: list(found) for id, found in page.receipts.items()} == {2: RECEIPTS}
    assert list((await storage.list_legs(A, everything)).items) == LEGS
