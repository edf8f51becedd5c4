"""Stream tickets: what a browser shows in place of a token, because EventSource and WebSocket can send no headers."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeAlias

from cryptography.fernet import Fernet, InvalidToken
from pydantic_core import from_json, to_json

from conversation_kit.domain.errors import ConfigurationError, Unauthenticated
from conversation_kit.domain.principals import ACL, Principal

LIFETIME = 60
"""Seconds that a ticket is good for."""

LEEWAY = 60
"""Seconds by which the clocks of two processes may differ."""

MIN_SECRET = 16
"""Characters of a secret that is given."""


Spend: TypeAlias = Callable[[str, str, datetime, datetime], Awaitable[bool]]
"""``Storage.spend``."""


class _ReadsOnly:
    """The access list of a ticket whose owner's covers reading the stream, but not for certain every event that might be sent."""

    reads_fields = False

    def permits(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        return method == "GET"


_READS_ONLY: Final[ACL] = _ReadsOnly()


class Tickets:
    """Makes and takes tickets, each for one path, once.

    A ticket is sealed with ``secret``, tells nobody what is in it, and is good in every process that has the same secret; without one, in
    this process. That it was used is in the storage, which all of them share. Raises ``ConfigurationError`` for a short secret.
    """

    def __init__(self, secret: str | None = None) -> None:
        if secret is not None and len(secret) < MIN_SECRET:
            raise ConfigurationError(f"ticket_secret= takes at least {MIN_SECRET} characters that nobody can guess.")
        self._seal = Fernet(urlsafe_b64encode(sha256((secret or secrets.token_hex()).encode()).digest()))

    def issue(self, principal: Principal, path: str, *, may_post: bool) -> str:
        """Make a ticket with which ``principal`` may open the stream at ``path``, and send events over it if its access list says so."""
        expires = principal.expires_at.timestamp() if principal.expires_at is not None else None
        issued = principal.issued_at.timestamp() if principal.issued_at is not None else None
        rights = [principal.application_id, principal.user_name, principal.trusted, expires, may_post, issued]
        first_sight = [principal.create, principal.display_name, principal.image_url]
        return self._seal.encrypt(to_json([path, rights, first_sight])).decode().rstrip("=")

    async def redeem(self, ticket: str, path: str, now: datetime, spend: Spend) -> Principal:
        """Use a ticket up, and return its owner. Raises ``Unauthenticated``, whatever is wrong with it."""
        raw = ticket.encode("utf-8", "replace")
        padded = raw + b"=" * (-len(raw) % 4)
        try:
            opened = from_json(self._seal.decrypt(padded, ttl=LIFETIME))
        except InvalidToken:
            raise _invalid() from None
        # The decoder skips what is not base64 and ignores spare bits. Taken like this, one ticket in several spellings would be several.
        if urlsafe_b64encode(urlsafe_b64decode(padded)).rstrip(b"=") != raw:
            raise _invalid()
        there, (application_id, user_name, trusted, expires, may_post, issued), (create, display_name, image_url) = opened
        if there != path:
            raise _invalid()
        expires_at = datetime.fromtimestamp(expires, UTC) if expires is not None else None
        if expires_at is not None and expires_at <= now:
            raise Unauthenticated("The token has expired: get a new one.", "system:error:expired-token")
        if not await spend(application_id, sha256(raw).hexdigest(), now + timedelta(seconds=LIFETIME + LEEWAY), now):
            raise _invalid()
        acl = None if may_post else _READS_ONLY
        issued_at = datetime.fromtimestamp(issued, UTC) if issued is not None else None
        return Principal(application_id, user_name, trusted, acl, expires_at, create, display_name, image_url, issued_at)


def _invalid() -> Unauthenticated:
    return Unauthenticated("The ticket is used, too old, or for another stream: get a new one.", "stream:error:invalid-ticket")
