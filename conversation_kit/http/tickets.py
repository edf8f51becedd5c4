"""Stream tickets: what a browser shows in place of a token, because EventSource and WebSocket can send no headers."""

from __future__ import annotations

import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from pydantic_core import from_json, to_json

from conversation_kit.domain.errors import ConfigurationError, Forbidden, Unauthenticated
from conversation_kit.domain.principals import ACL, Principal
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.times import to_text
from conversation_kit.http import answers
from conversation_kit.http.calls import Call
from conversation_kit.http.operations import Operation
from conversation_kit.http.responses import Answer

LIFETIME = 60
"""Seconds that a ticket is good for."""

MIN_SECRET = 16
"""Characters of a secret that is given."""


class _ReadsOnly:
    """The access list of a ticket whose owner's covers reading the stream, but not for certain every event that might be sent."""

    reads_fields = False

    def permits(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        return method == "GET"


_READS_ONLY: Final[ACL] = _ReadsOnly()


class Tickets:
    """Makes and takes tickets, each for one path, once.

    A ticket is sealed with ``secret``, tells nobody what is in it, and is good in every process that has the same secret; without one, in
    this process. That it is used a second time is noticed by the process that took it. Raises ``ConfigurationError`` for a short secret.
    """

    def __init__(self, secret: str | None = None) -> None:
        if secret is not None and len(secret) < MIN_SECRET:
            raise ConfigurationError(f"ticket_secret= takes at least {MIN_SECRET} characters that nobody can guess.")
        self._seal = Fernet(urlsafe_b64encode(sha256((secret or secrets.token_hex()).encode()).digest()))
        self._used: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, principal: Principal, path: str, *, may_post: bool) -> str:
        """A new ticket with which ``principal`` may open the stream at ``path``, and send events over it if its access list says so."""
        expires = principal.expires_at.timestamp() if principal.expires_at is not None else None
        rights = [principal.application_id, principal.user_name, principal.trusted, expires, may_post]
        first_sight = [principal.create, principal.display_name, principal.image_url]
        return self._seal.encrypt(to_json([path, rights, first_sight])).decode().rstrip("=")

    def redeem(self, ticket: str, path: str, now: datetime) -> Principal:
        """Whose ticket it is, which is good no more then. Raises ``Unauthenticated``, whatever is wrong with it."""
        raw = ticket.encode("utf-8", "replace")
        padded = raw + b"=" * (-len(raw) % 4)
        try:
            opened = from_json(self._seal.decrypt(padded, ttl=LIFETIME))
        except InvalidToken:
            raise _invalid() from None
        # The decoder skips what is not base64 and ignores spare bits. Taken like this, one ticket in several spellings would be several.
        if urlsafe_b64encode(urlsafe_b64decode(padded)).rstrip(b"=") != raw:
            raise _invalid()
        there, (application_id, user_name, trusted, expires, may_post), (create, display_name, image_url) = opened
        if there != path or not self._is_first(sha256(raw).digest()):
            raise _invalid()
        expires_at = datetime.fromtimestamp(expires, UTC) if expires is not None else None
        if expires_at is not None and expires_at <= now:
            raise Unauthenticated("The token has expired: get a new one.", "system:error:expired-token")
        acl = None if may_post else _READS_ONLY
        return Principal(application_id, user_name, trusted, acl, expires_at, create, display_name, image_url)

    def _is_first(self, digest: bytes) -> bool:
        """Whether a ticket is used for the first time; remembered for as long as it could be good."""
        now = time.monotonic()
        with self._lock:
            while self._used and next(iter(self._used.values())) <= now:
                self._used.popitem(last=False)
            if digest in self._used:
                return False
            self._used[digest] = now + LIFETIME + 1
            return True


def _invalid() -> Unauthenticated:
    return Unauthenticated("The ticket is used, too old, or for another stream: get a new one.", "stream:error:invalid-ticket")


async def create(call: Call) -> Answer:
    """Create a ticket for the stream of a conversation."""
    conversation_id = call.params["conversation_id"]
    await call.raw()
    acl, path = call.acting.principal.acl, f"/conversations/{conversation_id}/events"
    if acl is not None and not call.is_covered(acl, "GET", path):
        raise Forbidden("The token's acl does not cover reading this stream.")
    await call.acting.events.page(conversation_id, EventRange(size=1))
    return answer(call, path, may_post=may_post(call, path))


def may_post(call: Call, path: str) -> bool:
    """Whether the caller's access list lets every event be posted to ``path``."""
    acl = call.acting.principal.acl
    return acl is None or (not acl.reads_fields and call.is_covered(acl, "POST", path))


def answer(call: Call, path: str, *, may_post: bool) -> Answer:
    """A ticket of the caller's for the stream at ``path``."""
    ticket = call.streams.tickets.issue(call.acting.principal, path, may_post=may_post)
    expires = datetime.fromtimestamp(time.time() + LIFETIME, UTC)
    made: answers.StreamTicket = {
        "ticket": ticket,
        "href": call.links.stream(path, ticket),
        "timestamp": {"expires": to_text(expires)},
    }
    return Answer.json(made, 201, {"Cache-Control": "no-store"})


EXTENSIONS = (
    Operation(
        "createStreamTicket",
        "POST",
        "/conversations/{conversation_id}/tickets",
        "Stream",
        "Create a ticket for a live stream",
        create,
        answers.StreamTicket,
        201,
        errors=(404,),
        extension=True,
        description="For browsers, whose `EventSource` and `WebSocket` send no `Authorization` header: `href` with its `ticket` opens "
        "`/conversations/{conversation_id}/events` once, within a minute, as the caller.",
    ),
)
