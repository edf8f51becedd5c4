"""Groups: units of work that wait in a lane and are carried out together in a worker thread.

Whoever comes first carries out everything that queued up meanwhile in one thread hop, and hands over to the first of those who came
later. There is no timer and no background task: a single unit begins at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

U = TypeVar("U")


class Ticket(Generic[U]):
    """One unit of work that waits to be carried out."""

    __slots__ = ("error", "finished", "result", "turn", "unit")

    def __init__(self, unit: U) -> None:
        self.unit = unit
        self.turn: anyio.Event | None = None
        """Set when it is settled, or when it is its turn to lead; there only for one that has to wait."""
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None

    def succeed(self, result: Any) -> None:
        """It is done: a write is committed."""
        self.result, self.error, self.finished = result, None, True

    def fail(self, error: BaseException) -> None:
        """It did not happen."""
        self.error, self.finished = error, True

    def outcome(self) -> Any:
        """What came of it."""
        if self.error is not None:
            raise self.error
        return self.result


class Batch(Generic[U]):
    """Units that are carried out together.

    A leader that asyncio itself cancels, against any shield, leaves while the thread still works; then the thread has to release
    those who wait. The lock decides which of the two it is.
    """

    __slots__ = ("_left", "_lock", "_started", "tickets")

    def __init__(self, tickets: Sequence[Ticket[U]]) -> None:
        self.tickets = tickets
        self._lock = threading.Lock()
        self._left = False
        self._started = False

    def start(self) -> bool:
        """Called by the thread; whether there is still somebody to work for."""
        with self._lock:
            self._started = True
            return not self._left

    def finish(self) -> bool:
        """Called by the thread when all is settled; whether it has to release those who wait."""
        with self._lock:
            self._started = False
            return self._left

    def leave(self) -> bool:
        """Called by the leader; whether it has to release those who wait."""
        with self._lock:
            self._left = True
            return not self._started


class Lane(Generic[U]):
    """Units of one event loop that wait for each other. ``work`` carries out a batch, at most ``most`` units, and settles every ticket."""

    __slots__ = ("_has_leader", "_limiter", "_make_event", "_most", "_waiting", "_work")

    def __init__(self, work: Callable[[Sequence[Ticket[U]]], None], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: list[Ticket[U]] = []
        self._has_leader = False
        self._limiter = anyio.CapacityLimiter(2)  # one that works, and one whose leader went away
        # The event loop's own kind of event, because anyio.Event looks for the loop each time, which takes longer than the rest of a wait.
        self._make_event = type(anyio.Event())

    def load(self) -> int:
        """How much there is to wait for."""
        return len(self._waiting) + self._has_leader

    async def join(self, unit: U) -> Any:
        """Have ``unit`` carried out, together with whatever waits, and return its result or raise its error."""
        ticket = Ticket(unit)
        self._waiting.append(ticket)
        if self._has_leader:
            ticket.turn = self._make_event()
            try:
                await ticket.turn.wait()
            except anyio.get_cancelled_exc_class():
                self._withdraw(ticket)
                raise
            if ticket.finished:
                return ticket.outcome()
        self._has_leader = True
        batch = Batch(self._waiting[: self._most])
        del self._waiting[: self._most]
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._run, batch, limiter=self._limiter)
        finally:
            if batch.leave():
                self._release([other for other in batch.tickets if other is not ticket])
        return ticket.outcome()

    def _withdraw(self, ticket: Ticket[U]) -> None:
        """Take back a ticket that nobody has begun on; one that was called to lead passes that on."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)
            if ticket.turn is not None and ticket.turn.is_set():
                self._hand_over()

    def _release(self, tickets: Sequence[Ticket[U]]) -> None:
        """Wake those whose tickets are settled. What was never begun waits on, first in the lane."""
        self._waiting[:0] = [ticket for ticket in tickets if not ticket.finished]
        for ticket in tickets:
            if ticket.finished and ticket.turn is not None:
                ticket.turn.set()
        self._hand_over()

    def _hand_over(self) -> None:
        if self._waiting:
            turn = self._waiting[0].turn
            assert turn is not None, "only one that waits is not yet leading"
            turn.set()
        else:
            self._has_leader = False

    def _run(self, batch: Batch[U]) -> None:
        """Carry out a batch in this worker thread."""
        if not batch.start():
            return
        try:
            self._work(batch.tickets)
        except Exception as error:
            for ticket in batch.tickets:
                if not ticket.finished:
                    ticket.fail(error)
        finally:
            if batch.finish():
                with suppress(RuntimeError):  # the event loop has ended, and with it all who waited
                    anyio.from_thread.run_sync(self._release, batch.tickets)
