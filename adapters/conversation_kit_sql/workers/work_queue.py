"""Groups: units of work that wait in a queue and are carried out together in its worker thread.

The thread takes all that has queued up while it worked: a unit that comes alone begins at once, and many together share one transaction
and one way to the thread and back. A thread that has had nothing to do for a while ends.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import RunVar, current_token

from conversation_kit_sql.database import write_lock

U = TypeVar("U")

IDLE_SECONDS = 5.0
"""Seconds that a thread waits for more work before it ends."""


class SpareWork(Protocol):
    """Work for a thread that has nothing else to do."""

    @property
    def due(self) -> float:
        """Time, of the monotonic clock, from which on there may be something to do."""

    def step(self) -> bool:
        """Do a little; return whether there is more to do."""


class Job(Generic[U]):
    """One unit of work that waits to be carried out."""

    __slots__ = ("error", "finished", "result", "settled", "taken", "unit")

    def __init__(self, unit: U) -> None:
        self.unit = unit
        self.settled: anyio.Event | None = None
        """Set on the event loop of whoever waits for it."""
        self.taken = False
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None

    def succeed(self, result: Any) -> None:
        """Note that it is done: a write is committed."""
        self.result, self.error, self.finished = result, None, True

    def fail(self, error: BaseException) -> None:
        """Note that it did not happen."""
        self.error, self.finished = error, True

    def outcome(self) -> Any:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


class WorkQueue(Generic[U]):
    """Units of one event loop that wait for each other. ``work`` carries out a batch, at most ``most`` units, and settles every job.

    After a batch of several units the thread gives those whom it has answered ``gather_seconds`` to come with the next ones; a unit that
    comes alone never waits. While there is nothing to do, the thread does what there is of ``spare``. Made on the event loop that it
    serves.
    """

    __slots__ = (
        "__weakref__",
        "_gather_seconds",
        "_lock",
        "_loop",
        "_make_event",
        "_most",
        "_runs",
        "_spare",
        "_waiting",
        "_work",
        "_working",
    )

    def __init__(
        self,
        work: Callable[[Sequence[Job[U]]], None],
        most: int,
        *,
        gather_seconds: float = 0.0,
        spare: SpareWork | None = None,
    ) -> None:
        self._work = work
        self._most = most
        self._gather_seconds = gather_seconds
        self._spare = spare
        self._waiting: SimpleQueue[Job[U] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._runs = False
        self._working = False
        # The event loop's own kind of event, because anyio.Event looks for the loop each time, which takes longer than the rest of a wait.
        self._make_event = type(anyio.Event())
        # Weak, because a queue is kept for as long as its loop lives.
        self._loop: weakref.ref[Any] = weakref.ref(current_token().native_token)

    def load(self) -> int:
        """Return the number of units to wait for; a batch that is worked on counts as one."""
        return self._waiting.qsize() + self._working

    async def join(self, unit: U) -> Any:
        """Have ``unit`` carried out, together with whatever waits, and return its result or raise its error.

        A caller that is cancelled takes it back, or waits for it if the thread has begun on it: nothing goes on without its caller. By a
        cancel scope, which says so again at the next checkpoint, it still gets what came of it; by asyncio itself it is told only once.
        """
        job = Job(unit)
        job.settled = self._make_event()
        with self._lock:
            self._waiting.put(job)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="conversation-kit", daemon=True).start()
        try:
            await job.settled.wait()
        except anyio.get_cancelled_exc_class():
            with self._lock:
                begun, job.taken = job.taken, True
            if begun:
                with anyio.CancelScope(shield=True):
                    await job.settled.wait()
                if anyio.get_current_task().has_pending_cancellation():
                    return job.outcome()
            raise
        return job.outcome()

    def stop(self) -> None:
        """Let the thread end when it has carried out what waits; more work starts another one."""
        self._waiting.put(None)

    def _run(self) -> None:
        """Do the work of the thread."""
        batch: list[Job[U]] = []
        while batch := self._next(gather=self._gather_seconds > 0 and len(batch) > 1):
            self._working = True
            try:
                self._work(batch)
            except BaseException as error:
                for job in batch:
                    if not job.finished:
                        job.fail(error)
            self._working = False
            self._wake(batch)

    def _wake(self, batch: Sequence[Job[U]]) -> None:
        loop = self._loop()
        with suppress(RuntimeError):  # the event loop has ended, and with it all who waited
            if loop is not None:
                # anyio can only call and wait for the answer, and the thread has better things to do.
                (getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon)(_settle, batch)

    def _next(self, *, gather: bool) -> list[Job[U]]:
        """Return the jobs to work on; none when it is time to end."""
        while True:
            found = self._found(gather=gather)
            with self._lock:
                batch = [job for job in found if job is not None and not job.taken]
                for job in batch:
                    job.taken = True
                if not batch and self._waiting.empty() and (not found or None in found):
                    self._runs = False
                    return batch
            if batch:
                if None in found:
                    self.stop()
                return batch

    def _found(self, *, gather: bool) -> list[Job[U] | None]:
        """Return all that waits now or comes first, at most ``most``; nothing if nothing comes.

        With ``gather`` it also takes what comes within a moment.
        """
        spare = self._spare
        while spare is not None and self._waiting.empty() and spare.due <= time.monotonic() and spare.step():
            pass
        try:
            found = [self._waiting.get(timeout=IDLE_SECONDS)]
        except Empty:
            return []
        if gather:
            time.sleep(self._gather_seconds)
        while len(found) < self._most and not self._waiting.empty():
            found.append(self._waiting.get_nowait())
        return found


class LoopQueues(Generic[U]):
    """Queues of one kind, one for each event loop that has work for them; ``make`` makes one, on the loop that it serves."""

    def __init__(self, make: Callable[[], WorkQueue[U]]) -> None:
        self._make = make
        self._queue: RunVar[WorkQueue[U]] = RunVar("conversation_kit_sql_queue")
        self._latest = threading.local()
        self._every: weakref.WeakSet[WorkQueue[U]] = weakref.WeakSet()
        self._is_accompanied = False

    def here(self) -> WorkQueue[U]:
        """Return the queue of this event loop."""
        # A RunVar looks for its loop anew each time, which takes as long as all else that a write does here. Every loop has a hook of its
        # own for asynchronous generators, and asking for that takes no time.
        hook = sys.get_asyncgen_hooks().firstiter
        latest: tuple[Any, WorkQueue[U]] | None = getattr(self._latest, "queue", None)
        if latest is not None and hook is not None and latest[0] == hook:
            return latest[1]
        queue = self._queue.get(None)
        if queue is None:
            queue = self._make()
            self._queue.set(queue)
            self._every.add(queue)
        self._latest.queue = (hook, queue)
        return queue

    def join(self, unit: U) -> Coroutine[Any, Any, Any]:
        """Join the queue of this event loop; see ``WorkQueue.join``."""
        queue = self.here()
        return self._join_in_time(queue, unit) if self._is_accompanied else queue.join(unit)

    async def _join_in_time(self, queue: WorkQueue[U], unit: U) -> Any:
        with anyio.move_on_after(write_lock.LOCK_SECONDS):
            return await queue.join(unit)
        raise write_lock.overdue()

    @contextmanager
    def accompanied(self) -> Iterator[None]:
        """Let who comes meanwhile wait no longer than for the write lock: the block is the host's, and may wait for who comes."""
        self._is_accompanied = True
        try:
            yield
        finally:
            self._is_accompanied = False

    def load(self) -> int:
        """Return the number of units to wait for, in all event loops; see ``WorkQueue.load``."""
        return sum(queue.load() for queue in tuple(self._every))

    def stop(self) -> None:
        """Let the threads end, after what they have been asked to do."""
        for queue in tuple(self._every):
            queue.stop()
        # What it remembers holds the event loop, which may be the last thing that does.
        self._latest = threading.local()


def _settle(batch: Sequence[Job[Any]]) -> None:
    """Wake those who wait for the jobs, on their event loop."""
    for job in batch:
        if job.settled is not None:
            job.settled.set()
