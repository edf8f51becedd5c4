"""People of the demo, and the keys by which their pages get tokens.

A page's address carries a key behind the ``#``, which browsers keep to themselves: neither the key nor a token is in any server's log.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final

from conversation_kit.auth import make_token
from conversation_kit.domain.errors import Conflict, Unauthenticated
from conversation_kit.kit import ConversationKit

APPLICATION: Final = "demo"
NAMES: Final = {"ana": "Ana", "bo": "Bo", "cy": "Cy"}
OPERATOR: Final = "operator"
EVERYBODY: Final = "everybody"
TTL: Final = 24 * 3600
"""Seconds that a token lives; a page gets itself a new one."""


class People:
    """The demo's users and their operator."""

    def __init__(self, kit: ConversationKit, private_key: str) -> None:
        self._kit = kit
        self._private_key = private_key
        self._roles = {self.key(role): role for role in (*NAMES, OPERATOR, EVERYBODY)}

    def key(self, role: str) -> str:
        """Return the key with which the page of a role gets a token. It follows from the private key, so it outlives the process."""
        digest = hmac.digest(self._private_key.encode(), f"page of {role}".encode(), sha256)
        return urlsafe_b64encode(digest[:18]).decode()

    def token(self, name: str | None) -> str:
        """Return a token of a user, or of the admin."""
        return make_token(self._private_key, APPLICATION, sub=name, ttl=TTL)

    async def create(self) -> None:
        """See to it that they all are users."""
        for name, display_name in NAMES.items():
            try:
                await self._kit.users.create(name, display_name=display_name)
            except Conflict:
                continue  # a run before this one did it

    async def session(self, key: str) -> dict[str, Any]:
        """Return what the page with this key needs. Raises ``Unauthenticated``."""
        role = self._roles.get(key)
        if role is None:
            wrong = "This demo does not know the key in this address" if key else "This address is not complete"
            raise Unauthenticated(f"{wrong}: open an address that the demo has printed.", "demo:error:unknown-key")
        if role == EVERYBODY:
            links = [{"name": name, "display_name": shown, "key": self.key(name)} for name, shown in NAMES.items()]
            return {"role": role, "people": links, "operator": self.key(OPERATOR)}
        people = [{"name": name, "display_name": shown} for name, shown in NAMES.items()]
        if role == OPERATOR:
            return {"role": role, "token": self.token(None), "people": people}
        user = await self._kit.users.named(role)
        return {"role": role, "token": self.token(role), "user_id": user.id, "people": people}
