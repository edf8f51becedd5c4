"""After the commit: receivers of signals, each isolated, logged and time-boxed."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import anyio
from anyio.lowlevel import RunVar

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.signals import EventCreated, Signal
from conversation_kit.hooks import Pool, call

logger = logging.getLogger("conversation_kit")

MAX_CHAIN = 16
"""How deep receivers may cause signals that cause signals: an echo bot that answers itself stops here."""

Receiver: TypeAlias = Callable[[Any], Awaitable[None] | None]
_receiver_threads: Pool = RunVar("conversation_kit_receivers")
_chain: ContextVar[int] = ContextVar("conversation_kit_chain", default=0)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which signals somebody asked for."""

    signal: type[Signal]
    pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, what: type[Signal] | str, decorator: str) -> Selection:
        """A signal class with its subclasses, or the created events whose type matches a pattern.

        A pattern is an event type in which ``*`` stands for anything (``"custom:rating"``, ``"member:*"``).
        Raises ``ConfigurationError`` for what is neither.
        """
        if isinstance(what, str):
            return cls(EventCreated, re.compile(fnmatch.translate(what)))
        if isinstance(what, type) and issubclass(what, Signal):
            return cls(what)
        raise ConfigurationError(f"{decorator}() takes a signal class such as MemberJoined or an event type, not {what!r}.")

    def wants(self, signal: Signal) -> bool:
        """Whether it is one of them."""
        if not isinstance(signal, self.signal):
            return False
        return self.pattern is None or (isinstance(signal, EventCreated) and self.pattern.fullmatch(signal.event.type) is not None)


@dataclass(frozen=True, slots=True)
class _Registration:
    selection: Selection
    receiver: Receiver
    timeout: float

    @property
    def name(self) -> str:
        return getattr(self.receiver, "__qualname__", repr(self.receiver))


class Hub:
    """The receivers of one kit."""

    def __init__(self) -> None:
        self._registrations: list[_Registration] = []

    def add(self, what: type[Signal] | str, receiver: Receiver, *, timeout: float) -> None:
        """Register ``receiver`` for a ``Selection``. Raises ``ConfigurationError`` for what is none."""
        if timeout <= 0:
            raise ConfigurationError("on() takes a timeout of more than 0 seconds.")
        self._registrations.append(_Registration(Selection.of(what, "on"), receiver, timeout))

    @property
    def listens(self) -> bool:
        """Whether anybody is registered."""
        return bool(self._registrations)

    async def publish(self, signals: Sequence[Signal]) -> None:
        """Give the signals of one commit to their receivers, side by side; each receiver gets its own in order, within one time limit.

        Returns when all are done or out of time. Raises nothing that a receiver raises.
        """
        if not self._registrations:
            return
        depth = _chain.get()
        if depth >= MAX_CHAIN:
            logger.error("receivers cause signals more than %d deep; %d signals are not delivered", MAX_CHAIN, len(signals))
            return
        wanted = [(one, [signal for signal in signals if one.selection.wants(signal)]) for one in self._registrations]
        token = _chain.set(depth + 1)
        try:
            async with anyio.create_task_group() as group:
                for registration, own in wanted:
                    if own:
                        group.start_soon(self._deliver, registration, own)
        finally:
            _chain.reset(token)

    async def _deliver(self, registration: _Registration, signals: Sequence[Signal]) -> None:
        with anyio.move_on_after(registration.timeout) as scope:
            for signal in signals:
                try:
                    await call(_receiver_threads, registration.receiver, signal)
                except Exception:
                    logger.exception("receiver %s of %s raised", registration.name, type(signal).__name__)
        if scope.cancelled_caught:
            names = ", ".join(type(signal).__name__ for signal in signals)
            logger.error("receiver %s of %s ran longer than %s s", registration.name, names, registration.timeout)
