"""Addresses of the things of the API: the only place that builds an href."""

from __future__ import annotations

from urllib.parse import quote


class Links:
    """Hrefs below one base URL, which has no slash at its end."""

    __slots__ = ("base",)

    def __init__(self, base: str) -> None:
        self.base = base

    def conversation(self, conversation_id: str) -> str:
        """Return the address of a conversation."""
        return f"{self.base}/conversations/{conversation_id}"

    def member(self, conversation_id: str, member_id: str) -> str:
        """Return the address of a member of a conversation."""
        return f"{self.base}/conversations/{conversation_id}/members/{member_id}"

    @staticmethod
    def events_path(conversation_id: str) -> str:
        """Return the path of a conversation's events, as access lists have it."""
        return f"/conversations/{conversation_id}/events"

    def event(self, conversation_id: str, event_id: int | str) -> str:
        """Return the address of an event of a conversation."""
        return f"{self.base}/conversations/{conversation_id}/events/{event_id}"

    def stream(self, path: str, ticket: str) -> str:
        """Return the address of the live stream at ``path``, opened with a ticket."""
        return f"{self.base}{path}?ticket={ticket}"

    def user(self, user_id: str) -> str:
        """Return the address of a user."""
        return f"{self.base}/users/{user_id}"

    def leg(self, leg_id: str) -> str:
        """Return the address of a leg; its id may come from outside."""
        return f"{self.base}/legs/{quote(leg_id, safe='')}"

    def list(self, path: str, query: str) -> str:
        """Return the address of a list with the query that it was read with."""
        return f"{self.base}{path}?{query}"
