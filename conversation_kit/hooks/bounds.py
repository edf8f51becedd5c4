"""Bounds of the host's functions: they may call the kit, which calls them again, within the limits of the first call."""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

logger = logging.getLogger("conversation_kit")

MAX_DEPTH = 16
"""Depth to which the host's functions may cause calls that cause calls: an echo bot that answers itself stops here."""

MAX_CAUSED = 1000
"""Number of signals and hooked commands that the host's functions may cause by one request, at all depths together."""


@dataclass(slots=True)
class _Beginning:
    """State shared by all calls that go back to one request."""

    caused: int = 0
    has_told: bool = False


@dataclass(slots=True)
class Bounds:
    """The limits of a function of the host: ``deadline`` on the monotonic clock, which comes from the ``seconds`` of ``owner``."""

    name: str
    depth: int
    deadline: float
    seconds: float
    owner: str
    beginning: _Beginning = field(default_factory=_Beginning)

    @classmethod
    def of(cls, name: str, seconds: float, outer: Bounds | None, *, detached: bool = False) -> Bounds:
        """Return the limits of ``name`` from now on: ``seconds``, and no more than ``outer`` has left unless ``detached`` from that."""
        deadline = time.monotonic() + seconds
        if outer is None:
            return cls(name, 1, deadline, seconds, name)
        if detached or deadline <= outer.deadline:
            return cls(name, outer.depth + 1, deadline, seconds, name, outer.beginning)
        return cls(name, outer.depth + 1, outer.deadline, outer.seconds, outer.owner, outer.beginning)

    @property
    def left(self) -> float:
        """The seconds until the deadline, 0 after it."""
        return max(self.deadline - time.monotonic(), 0.0)

    @property
    def overrun(self) -> str:
        """Return the words for a function that reached its deadline."""
        if self.owner == self.name:
            return f"ran longer than {self.seconds:g} s"
        return f"was cut, since {self.owner}, which caused it, ran longer than {self.seconds:g} s"

    def spend(self, count: int) -> str | None:
        """Count ``count`` more calls that this function causes. Returns why they may not be, once it has been logged."""
        beginning = self.beginning
        beginning.caused += count
        if self.depth >= MAX_DEPTH:
            reason = f"calls of the host's functions cause each other more than {MAX_DEPTH} deep"
        elif beginning.caused > MAX_CAUSED:
            reason = f"one request causes more than {MAX_CAUSED} calls of the host's functions"
        elif not self.left:
            reason = f"{self.owner} goes on after its {self.seconds:g} s"
        else:
            return None
        if not beginning.has_told:
            beginning.has_told = True
            logger.error("%s, at last %s: what it causes now is not told to hooks and receivers any more", reason, self.name)
        return reason


@dataclass(slots=True)
class Running:
    """A call of a function of the host. What its tasks and threads do after it has ended is a new beginning."""

    bounds: Bounds
    has_ended: bool = False
    thread: int | None = None
    """Worker thread that it is in, if it is sync."""


running: ContextVar[Running | None] = ContextVar("conversation_kit_running", default=None)


def current_bounds() -> Bounds | None:
    """Return the limits of the host's function that this code is called by, if it is."""
    here = running.get()
    return None if here is None or here.has_ended else here.bounds
