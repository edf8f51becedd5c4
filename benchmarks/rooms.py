"""Conversations that every server holds before it is measured, and the address at which it listens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

PREFIX = "/api"
APPLICATION = "bench"
USERS = 10
CONVERSATIONS = 100
MEMBERS = 2
"""Number of members of each of the many conversations."""

LOGGED = 1000
"""Number of events of the conversation that is read."""


@dataclass(frozen=True)
class Room:
    """A conversation and its members as (name of the user, id of the member)."""

    id: str
    members: list[tuple[str, str]]


@dataclass(frozen=True)
class Rooms:
    """A conversation that all write to, many that are written to, and one that is read."""

    hot: Room
    many: list[Room]
    read: Room

    def __iter__(self) -> Iterator[Room]:
        """Iterate over all of them."""
        yield from (self.hot, *self.many, self.read)


@dataclass(frozen=True)
class Address:
    """Port at which a server listens, and the conversations that it holds, if it holds any."""

    port: int
    rooms: Rooms | None = None


def user_names() -> list[str]:
    """Return the names of all users."""
    return [f"user-{number}" for number in range(USERS)]


def plan(conversations: int = CONVERSATIONS, members: int = MEMBERS) -> Iterator[tuple[str, list[str]]]:
    """Yield each conversation's name and its users: the hot one, the many, the one that is read."""
    names = user_names()
    yield "hot", names
    for number in range(conversations):
        yield f"room-{number}", [names[(number + place) % USERS] for place in range(members)]
    yield "read", names[:2]


def as_rooms(rooms: list[Room]) -> Rooms:
    """Return the conversations that were made as ``plan`` has them, in its order."""
    hot, *many, read = rooms
    return Rooms(hot, many, read)


def make_rooms() -> Rooms:
    """Make the planned conversations with new ids, for servers that insert them as they are."""
    return as_rooms([Room(f"CON-{uuid4()}", [(user, f"MEM-{uuid4()}") for user in users]) for _, users in plan()])


def message(number: int) -> str:
    """Return the text of an event of the conversation that is read."""
    return f"Message {number} of a conversation that has been going on."
