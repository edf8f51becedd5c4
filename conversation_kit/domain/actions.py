"""The kit's own names for what a caller wants to do, whichever API the caller speaks."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

Action: TypeAlias = Literal[
    "conversations.create",
    "conversations.delete",
    "conversations.get",
    "conversations.list",
    "conversations.update",
    "events.create",
    "events.delete",
    "events.get",
    "events.list",
    "legs.delete",
    "legs.get",
    "legs.list",
    "legs.start",
    "legs.update",
    "members.ban",
    "members.exclusions",
    "members.get",
    "members.invite",
    "members.join",
    "members.list",
    "members.remove",
    "members.unban",
    "users.block",
    "users.blocks",
    "users.conversations",
    "users.create",
    "users.delete",
    "users.get",
    "users.list",
    "users.revoke_tokens",
    "users.unblock",
    "users.update",
]
"""One of the kit's actions: the noun and the method of ``kit`` that carries it out."""

ACTIONS: Final[frozenset[Action]] = frozenset(get_args(Action))
"""All of them."""
