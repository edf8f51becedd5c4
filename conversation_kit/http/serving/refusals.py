"""Refused requests, for the log and for receivers: who asked for what, and which code they got."""

from __future__ import annotations

import logging
from time import monotonic

from conversation_kit.domain.errors import RequestError
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.signals import RequestRefused
from conversation_kit.hooks.receivers import Hub
from conversation_kit.http.serving.errors import status_of

logger = logging.getLogger("conversation_kit.refused")

STATUSES = frozenset((401, 403, 429))
PER_SECOND = 10.0
"""Refusals that are recorded in each second in the long run: anybody can produce them, without a token."""

BURST = 100.0
EXPIRED = "system:error:expired-token"


class Refusals:
    """Records refusals of one kit, in one process; what is too much for the rate is counted and told with the next one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.pending: list[RequestRefused] = []
        self._left, self._at = BURST, monotonic()
        self._unrecorded = 0

    def note(self, error: Exception, operation: str | None, principal: Principal | None) -> None:
        """Log ``error`` if it refuses somebody something, and keep it for ``tell``. ``principal`` is ``None`` for nobody known."""
        if not isinstance(error, RequestError) or (status := status_of(error)) not in STATUSES:
            return
        now = monotonic()
        self._left, self._at = min(self._left + (now - self._at) * PER_SECOND, BURST), now
        if self._left < 1:
            self._unrecorded += 1
            return
        self._left -= 1
        unrecorded, self._unrecorded = self._unrecorded, 0
        application_id = principal.application_id if principal is not None else ""
        refused = RequestRefused(application_id, principal, operation, error.code, status, unrecorded)
        # A token that has expired is everyday business.
        logger.log(
            logging.INFO if error.code == EXPIRED else logging.WARNING,
            "refused with %d %s: %s by %s%s",
            status,
            error.code,
            operation or "an unknown operation",
            _who(principal),
            f"; {unrecorded} more were not recorded" if unrecorded else "",
        )
        if self._hub.registrations:
            self.pending.append(refused)

    async def tell(self) -> None:
        """Give what was noted to the receivers of ``RequestRefused``, and wait for them."""
        if self.pending:
            pending, self.pending = self.pending, []
            await self._hub.publish(pending)


def _who(principal: Principal | None) -> str:
    if principal is None:
        return "nobody known"
    who = "an admin" if principal.user_name is None else repr(principal.user_name)
    return f"{who} of {principal.application_id!r}"
