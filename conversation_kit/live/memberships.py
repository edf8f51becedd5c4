"""The memberships of a user in the conversations that a feed follows, and the rest that a feed is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from conversation_kit.live.topics import Read, Topic


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's invited and joined members of one conversation, taken together: there may be one for each channel.

    ``members`` are their ids, ``since`` is the id of the event that the first of them began with, ``last`` that of the conversation's last
    event.
    """

    conversation_id: str
    members: frozenset[str]
    is_joined: bool
    since: int
    last: int


@dataclass(frozen=True, slots=True)
class Memberships:
    """A user's memberships in the conversations that a feed follows; ``left_out`` are the ids of others, ``unseen`` counts further ones."""

    followed: Sequence[Membership]
    left_out: Sequence[str] = ()
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """The things that a feed is made from, as the services give them.

    ``who`` tells the user's id, ``memberships`` their conversations; both raise what the caller may not do. ``topic`` makes the topic of a
    conversation, ``read`` reads its log with the rights of the caller. ``membership_suffices`` says that who is joined may read: otherwise
    a conversation is read, with the rights of the caller, before anything of it arrives.
    """

    application_id: str
    who: Callable[[], Awaitable[str]]
    memberships: Callable[[str], Awaitable[Memberships]]
    topic: Callable[[str], Topic]
    read: Callable[[str], Read]
    clock: Callable[[], datetime]
    membership_suffices: bool
