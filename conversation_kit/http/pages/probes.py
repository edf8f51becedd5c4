"""Probes for whoever watches the process: does it answer, and does its storage."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic

import anyio

from conversation_kit.domain.errors import ConversationKitError, NotFound
from conversation_kit.http.serving.mounting import Send
from conversation_kit.http.serving.response import Reply, Response
from conversation_kit.ports import Storage

logger = logging.getLogger("conversation_kit")

FRESH_SECONDS = 1.0
"""Seconds for which a look at the storage holds: anybody may ask, and the storage is asked no more often."""

LONGEST_SECONDS = 5.0
"""Seconds after which a storage that has not answered is taken not to."""

_NOBODY = "USR-probe"


class Probes:
    """Probes of one kit, for everybody: they tell nothing but whether it works. ``storage`` returns the open storage."""

    def __init__(self, storage: Callable[[], Awaitable[Storage]]) -> None:
        self._storage = storage
        self._looked: float | None = None
        self._is_ready = False
        self.by_path: Mapping[str, Callable[[str], Reply]] = {"/health": _alive, "/ready": lambda base: _Readiness(self)}
        """Makers of the answers, by their paths."""

    async def is_ready(self) -> bool:
        """Tell whether the storage answers, as of a second ago at most; while somebody looks, as it was before."""
        now = monotonic()
        if self._looked is None or now - self._looked >= FRESH_SECONDS:
            self._looked = now
            try:
                with anyio.fail_after(LONGEST_SECONDS), suppress(NotFound):
                    await (await self._storage()).get_user("", id=_NOBODY)
            except (ConversationKitError, TimeoutError) as error:
                logger.error("not ready: the storage does not answer: %s", error or type(error).__name__)
                self._is_ready = False
            else:
                self._is_ready = True
        return self._is_ready


class _Readiness:
    """Answer that is found when it is sent."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes

    async def send(self, send: Send, *, head: bool = False) -> None:
        """See ``Reply.send``."""
        if await self._probes.is_ready():
            answer = Response.json({"status": "ready"})
        else:
            answer = Response.json({"status": "unavailable"}, 503, {"Retry-After": "1"})
        await answer.send(send, head=head)


def _alive(base: str) -> Response:
    return Response.json({"status": "ok"})
