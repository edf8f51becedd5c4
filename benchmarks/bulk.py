"""Rows as the kit would have written them, one by one, for conversations that are known by their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, make_url

from benchmarks.loaders import Loader
from benchmarks.rooms import APPLICATION, Room
from benchmarks.wire import TEXT
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Member, MemberState, User
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.queries.rows import to_row
from conversation_kit_sql.schema.tables import make_tables

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_SOME_ID = 987_654_321_987_654


async def make_schema(url: str) -> None:
    """Create the kit's tables, where they are missing."""
    storage = SQLStorage(url)
    await storage.open()
    await storage.close()


class Rows:
    """The rows of users, conversations with two members each, and their events; all follow from their numbers.

    Values are what the tables' types make of the domain's models, so that the kit reads them as its own.
    """

    def __init__(self, url: str) -> None:
        self.tables = make_tables()
        self._dialect = make_url(url).get_dialect()()
        some = Conversation(APPLICATION, "", "", BEGINNING)
        self._conversation = self._bound(self.tables.conversation, some)
        initiator = {"joined": {"isSystem": True}}
        joined = MemberState.JOINED
        channel = {"type": "app"}
        member = Member(APPLICATION, "", "", "", "", joined, channel, BEGINNING, initiator, joined=BEGINNING)
        self._member = self._bound(self.tables.member, member)
        self._user = self._bound(self.tables.user, User(APPLICATION, "", "", BEGINNING))

    def _bound(self, table: Table, model: Conversation | User | Member) -> dict[str, Any]:
        values = to_row(model)
        for name in values:
            bind = table.c[name].type.bind_processor(self._dialect)
            if bind is not None:
                values[name] = bind(values[name])
        return values

    def load_users(self, loader: Loader, count: int) -> None:
        """Load the users with the numbers from 0."""
        rows = [{**self._user, "id": _id("USR", number), "name": user_name(number)} for number in range(count)]
        loader.load(self.tables.user, list(self._user), [list(row.values()) for row in rows])

    def load_conversations(self, loader: Loader, conversations: Sequence[tuple[int, tuple[int, int], int]]) -> None:
        """Load conversations by number, the numbers of their users, and how many events they have; with members and events."""
        created = self._conversation["created"]
        more = {"active_members": 2, "joined_members": 2}
        rows = [
            {**self._conversation, "id": _id("CON", n), "name": f"room-{n}", "created": created + n, "sequence_number": events, **more}
            for n, _, events in conversations
        ]
        loader.load(self.tables.conversation, list(self._conversation | more), [list(row.values()) for row in rows])
        members = (
            {**self._member, "conversation_id": _id("CON", n), "id": member, "user_id": _id("USR", user), "user_name": name}
            for n, users, _ in conversations
            for user, (name, member) in zip(users, room(n, users).members, strict=True)
        )
        loader.load(self.tables.member, list(self._member), (list(row.values()) for row in members))
        names = ("application_id", "conversation_id", "id", "data")
        loader.load(self.tables.event, names, (row for n, users, events in conversations for row in _events(n, users, events)))


def _events(number: int, users: tuple[int, int], count: int) -> Iterator[tuple[str, str, int, str]]:
    """Yield texts by both members in turn: the kit's row of one event, with each id put in place of that one's."""
    conversation_id = _id("CON", number)
    timestamp = BEGINNING + timedelta(milliseconds=number)
    body = {"text": f"{TEXT} {_SOME_ID}"}
    parts = []
    for _, member in room(number, users).members:
        event = Event.compose(APPLICATION, conversation_id, _SOME_ID, type="text", body=body, timestamp=timestamp, sender=member)
        parts.append(event.data.split(str(_SOME_ID)))
    for id in range(1, count + 1):
        yield APPLICATION, conversation_id, id, str(id).join(parts[id % 2])


def room(number: int, users: tuple[int, int]) -> Room:
    """Return the conversation with this number."""
    return Room(_id("CON", number), [(user_name(user), _id("MEM", number, place)) for place, user in enumerate(users)])


def user_id(number: int) -> str:
    """Return the id of the user with this number."""
    return _id("USR", number)


def user_name(number: int) -> str:
    """Return the name of the user with this number."""
    return f"user-{number}"


def _id(prefix: str, number: int, place: int = 0) -> str:
    """Return an id as long as the kit's own, which sorts in the order of creation like them."""
    return f"{prefix}-{number:08x}-0000-7000-8000-{place:012x}"
