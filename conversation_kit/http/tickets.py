"""Stream tickets: what a browser shows in place of a token, because EventSource and WebSocket can send no headers."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from conversation_kit.domain.errors import Unauthenticated
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.times import to_text
from conversation_kit.http import answers
from conversation_kit.http.calls import Call
from conversation_kit.http.errors import DoorError
from conversation_kit.http.operations import Operation
from conversation_kit.http.responses import Answer

LIFETIME = 60.0
"""Seconds that a ticket is good for."""

PER_USER = 100
"""Tickets of one user that nobody has shown yet."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    principal: Principal
    path: str
    ends: float

    @property
    def owner(self) -> tuple[str, str | None]:
        return self.principal.application_id, self.principal.user_name


class Tickets:
    """The tickets of one process that are still good: each for one path, once. Kept as digests, like tokens."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[bytes, _Ticket] = OrderedDict()
        self._owned: Counter[tuple[str, str | None]] = Counter()
        self._lock = threading.Lock()

    def issue(self, principal: Principal, path: str) -> str:
        """A new ticket with which ``principal`` may open the stream at ``path``. Raises ``DoorError`` (429) for too many."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._forget()
            ticket = _Ticket(principal, path, time.monotonic() + LIFETIME)
            if self._owned[ticket.owner] >= PER_USER:
                raise DoorError("stream:error:too-many", f"You have {PER_USER} tickets: use them, or wait.", {"Retry-After": "60"})
            self._owned[ticket.owner] += 1
            self._tickets[_digest(secret)] = ticket
        return secret

    def redeem(self, secret: str, path: str, now: datetime) -> Principal:
        """Whose ticket it is, which is good no more then. Raises ``Unauthenticated``, whatever is wrong with it."""
        with self._lock:
            self._forget()
            ticket = self._pop(_digest(secret))
        if ticket is None or ticket.path != path:
            raise Unauthenticated("The ticket is used, too old, or for another stream: get a new one.", "stream:error:invalid-ticket")
        if ticket.principal.expires_at is not None and ticket.principal.expires_at <= now:
            raise Unauthenticated("The token has expired: get a new one.", "system:error:expired-token")
        return ticket.principal

    def _forget(self) -> None:
        """Let go of those that are too old, the oldest of which is the first."""
        now = time.monotonic()
        while self._tickets and next(iter(self._tickets.values())).ends <= now:
            self._pop(next(iter(self._tickets)))

    def _pop(self, digest: bytes) -> _Ticket | None:
        ticket = self._tickets.pop(digest, None)
        if ticket is not None:
            self._owned[ticket.owner] -= 1
            if not self._owned[ticket.owner]:
                del self._owned[ticket.owner]
        return ticket


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "replace")).digest()


async def create(call: Call) -> Answer:
    """Create a ticket for the stream of a conversation."""
    conversation_id = call.params["conversation_id"]
    await call.raw()
    await call.acting.events.page(conversation_id, EventRange(size=1))
    secret = call.streams.tickets.issue(call.acting.principal, f"/conversations/{conversation_id}/events")
    expires = datetime.fromtimestamp(time.time() + LIFETIME, UTC)
    answer: answers.StreamTicket = {
        "ticket": secret,
        "href": call.links.stream(conversation_id, secret),
        "timestamp": {"expires": to_text(expires)},
    }
    return Answer.json(answer, 201, {"Cache-Control": "no-store"})


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
        errors=(404, 429),
        extension=True,
        description="For browsers, whose `EventSource` and `WebSocket` send no `Authorization` header: `href` with its `ticket` opens "
        "`/conversations/{conversation_id}/events` once, within a minute, as the caller.",
    ),
)
