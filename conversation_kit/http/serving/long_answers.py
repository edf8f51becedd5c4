"""Long answers on their way: in pieces, so that the server holds little of one that its client does not read, and only so many at once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.principals import Principal
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.mounting import Send
from conversation_kit.http.serving.response import Response

logger = logging.getLogger("conversation_kit")

PIECE = 65_536
"""Bytes that are given to the server at once: about what its buffer for a connection holds before it lets the kit wait."""

_LATER = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Limits of answers of more than 64 kB that clients are still reading.

    ``per_user`` and ``total`` are the bytes of those under way at once, in this process; an admin's count towards ``total`` only. Whoever
    has none under way gets one in any case, as far as ``total`` goes. ``stuck_seconds`` is how long a client may take nothing of one.
    Raises ``ConfigurationError``.
    """

    per_user: int = 8_000_000
    total: int = 64_000_000
    stuck_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("per_user", "total", "stuck_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"AnswerLimits takes a {name} of more than 0.")


class Outgoing:
    """The long answers of one kit that are under way."""

    def __init__(self, limits: AnswerLimits) -> None:
        self.limits = limits
        self.total = 0
        self._by_user: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def counted(self, principal: Principal, size: int) -> Iterator[None]:
        """Count so many bytes for ``principal`` while the block runs. Raises ``HTTPError`` (429, 503) when there are too many."""
        user = (principal.application_id, principal.user_name) if principal.user_name is not None else None
        if user is not None and self._by_user[user] and self._by_user[user] + size > self.limits.per_user:
            raise HTTPError("http:error:too-many-answers", "Read the answers first that you have asked for, then ask for more.", _LATER)
        if self.total and self.total + size > self.limits.total:
            raise HTTPError("http:error:capacity", "This server has as many long answers under way as it may have; try again.", _LATER)
        self.total += size
        if user is not None:
            self._by_user[user] += size
        try:
            yield
        finally:
            self.total -= size
            if user is not None:
                self._by_user[user] -= size
                if not self._by_user[user]:
                    del self._by_user[user]


class LongAnswer:
    """An answer that goes piece by piece, or is what ``refuse`` makes of the error when too much is under way."""

    __slots__ = ("_answer", "_outgoing", "_path", "_principal", "_refuse")

    def __init__(
        self, response: Response, outgoing: Outgoing, principal: Principal, path: str, refuse: Callable[[HTTPError], Response]
    ) -> None:
        self._answer = response
        self._outgoing = outgoing
        self._principal = principal
        self._path = path
        self._refuse = refuse

    async def send(self, send: Send, *, head: bool = False) -> None:
        """See ``Reply.send``. One whose client takes nothing for too long ends without its rest."""
        body = self._answer.body
        try:
            with self._outgoing.counted(self._principal, len(body)):
                await send(self._answer.start())
                for at in range(0, 1 if head else len(body), PIECE):
                    with anyio.move_on_after(self._outgoing.limits.stuck_seconds) as limit:
                        more = not head and at + PIECE < len(body)
                        await send({"type": "http.response.body", "body": b"" if head else body[at : at + PIECE], "more_body": more})
                    if limit.cancelled_caught:
                        logger.debug("a client has taken nothing of the answer to %s for too long", self._path)
                        return
        except HTTPError as error:
            await self._refuse(error).send(send, head=head)
