"""Calls of the host's functions that no request waits for."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from weakref import WeakSet

import anyio
import anyio.from_thread
from anyio.abc import TaskGroup
from anyio.lowlevel import RunVar, current_token

logger = logging.getLogger("conversation_kit")

AT_ONCE = 100
"""Number of calls that run at once in one event loop; the others wait for their turn."""

MOST = 1000
"""Number of calls that may run and wait in one event loop; a call beyond that is not run, and logged."""


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    work: Callable[[], Awaitable[None]]
    context: Context


class Background:
    """Work beside the requests that cause it, on the event loop of each."""

    def __init__(self) -> None:
        self._crew: RunVar[_Crew] = RunVar("conversation_kit_background")
        self._crews: WeakSet[_Crew] = WeakSet()

    def __len__(self) -> int:
        """Return the number of calls that run or wait, in all event loops."""
        return sum(len(crew) for crew in tuple(self._crews))

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work``, which raises nothing, soon and in a copy of this context. Never waits."""
        crew = self._crew.get(None)
        if crew is None:
            crew = _Crew()
            self._crew.set(crew)
            self._crews.add(crew)
        crew.add(_Job(name, work, copy_context()))

    async def drain(self, seconds: float) -> None:
        """Wait until everything that was started on this event loop is done, and cut what is not done after ``seconds``."""
        crew = self._crew.get(None)
        if crew is not None:
            await crew.drain(seconds)


class _Crew:
    """The jobs of one event loop; only its own thread touches them."""

    def __init__(self) -> None:
        self._token = current_token()
        self._waiting: deque[_Job] = deque()
        self._running: Counter[str] = Counter()
        self._group: TaskGroup | None = None
        self._changed = anyio.Event()
        self._is_full = False

    def __len__(self) -> int:
        return len(self._waiting) + self._running.total()

    def add(self, job: _Job) -> None:
        if len(self) >= MOST:
            if not self._is_full:
                logger.error("%d background calls run or wait already: those of %s are not made until some are done", MOST, job.name)
            self._is_full = True
            return
        self._is_full = False
        self._waiting.append(job)
        self._change()
        if self._group is None and len(self._waiting) == 1:
            # A task of its own on this event loop, which may have no lifespan that could own one: a thread can ask for it.
            threading.Thread(target=self._host, name="conversation-kit background", daemon=True).start()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _host(self) -> None:
        try:
            anyio.from_thread.run(self._work, token=self._token)
        except BaseException:
            left = [*self._running.elements(), *(job.name for job in self._waiting)]
            logger.error("the event loop ended, and with it %d background calls: await kit.close() first. %s", len(left), _listed(left))

    async def _work(self) -> None:
        """Run the jobs until there are none."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                while self._waiting or self._running:
                    while self._waiting and self._running.total() < AT_ONCE:
                        job = self._waiting.popleft()
                        self._running[job.name] += 1
                        job.context.run(group.start_soon, self._run, job)
                    await self._changed.wait()
            finally:
                # Before the group ends, so that whoever comes from now on starts another one.
                self._group = None

    async def _run(self, job: _Job) -> None:
        try:
            await job.work()
        finally:
            self._running[job.name] -= 1
            self._running += Counter()
            self._change()

    async def drain(self, seconds: float) -> None:
        with anyio.move_on_after(seconds, shield=True):
            while self._waiting or self._running:
                await self._changed.wait()
        left = [*self._running.elements(), *(job.name for job in self._waiting)]
        if left:
            logger.error("the kit stops, and cuts %d background calls after %g s. %s", len(left), seconds, _listed(left))
            self._waiting.clear()
            if self._group is not None:
                self._group.cancel_scope.cancel()
            with anyio.move_on_after(seconds, shield=True):
                while self._running:
                    await self._changed.wait()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{name} x {count}" for name, count in Counter(names).most_common(5))
