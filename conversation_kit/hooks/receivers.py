"""After the commit: receivers of signals, each isolated, logged and time-boxed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import anyio
from anyio.lowlevel import RunVar

from conversation_kit.domain.signals import Announcement
from conversation_kit.hooks.background import Background
from conversation_kit.hooks.bounds import Bounds, current_bounds
from conversation_kit.hooks.invoking import Overran, Pool, invoke, name_of
from conversation_kit.hooks.selection import Selection
from conversation_kit.hooks.signatures import check_function

logger = logging.getLogger("conversation_kit")

SECONDS = 5.0
"""The time limit of a receiver that the request waits for, if none is given."""

BACKGROUND_SECONDS = 300.0
"""The time limit of a receiver in the background, if none is given."""

Receiver: TypeAlias = Callable[[Any], Awaitable[None] | None]
_receiver_threads: Pool = RunVar("conversation_kit_receivers")
_background_threads: Pool = RunVar("conversation_kit_background_receivers")


@dataclass(frozen=True, slots=True)
class _Registration:
    selection: Selection
    receiver: Receiver
    timeout: float
    background: bool

    @property
    def name(self) -> str:
        return name_of(self.receiver)


class Hub:
    """The receivers of one kit."""

    def __init__(self) -> None:
        self.registrations: list[_Registration] = []
        self._background = Background()

    def add(self, selection: Selection, receiver: Receiver, *, timeout: float | None, background: bool) -> None:
        """Register ``receiver`` for a ``Selection``. Raises ``ConfigurationError`` for what cannot be called with a signal."""
        check_function("on()", receiver, "the signal")
        if timeout is None:
            timeout = BACKGROUND_SECONDS if background else SECONDS
        self.registrations.append(_Registration(selection, receiver, timeout, background))

    @property
    def background_jobs(self) -> int:
        """Number of receivers in the background that run or wait, in all event loops."""
        return len(self._background)

    async def publish(self, signals: Sequence[Announcement]) -> None:
        """Give the signals of one commit to their receivers, side by side; each receiver gets its own in order, within one time limit.

        What a receiver causes has no more time than is left to that receiver. Returns when all are done or out of time, but for those in
        the background, which have begun. Raises nothing that a receiver raises.
        """
        if not self.registrations:
            return
        outer = current_bounds()
        if outer is not None and outer.spend(len(signals)) is not None:
            return
        wanted: list[tuple[_Registration, Sequence[Announcement]]] = []
        for registration in self.registrations:
            own = [signal for signal in signals if registration.selection.wants(signal)]
            if own and registration.background:
                self._background.start(registration.name, partial(_deliver, registration, own, outer))
            elif own:
                wanted.append((registration, own))
        if len(wanted) == 1:
            await _deliver(*wanted[0], outer)
        elif wanted:
            async with anyio.create_task_group() as group:
                for registration, those in wanted:
                    group.start_soon(_deliver, registration, those, outer)

    async def drain(self, seconds: float) -> None:
        """Wait for the receivers in the background of this event loop; they are cut after ``seconds``."""
        await self._background.drain(seconds)


async def _deliver(registration: _Registration, signals: Sequence[Announcement], outer: Bounds | None) -> None:
    threads = _background_threads if registration.background else _receiver_threads
    bounds = Bounds.of(registration.name, registration.timeout, outer, detached=registration.background)
    for signal in signals:
        try:
            await invoke(threads, bounds, registration.receiver, signal)
        except Overran as error:
            names = ", ".join(type(signal).__name__ for signal in signals)
            hint = "" if registration.background else ". What takes long runs with background=True, or longer with timeout="
            logger.error("receiver %s of %s %s%s", registration.name, names, error, hint)
            return
        except Exception:
            logger.exception("receiver %s of %s raised", registration.name, type(signal).__name__)
