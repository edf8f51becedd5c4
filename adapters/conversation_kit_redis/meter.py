"""Levels of limits in Redis and Valkey, by the clock of the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.lowlevel import current_token
from coredis.exceptions import ConnectionError as ServerGone

from conversation_kit import forks
from conversation_kit.loops import Loop
from conversation_kit.ports import Reading, Taking
from conversation_kit.ports.metering import settle
from conversation_kit_redis.client import ANSWER_SECONDS, CONNECT_SECONDS, make_client, plain_url

IDLE_SECONDS = 5.0
"""Seconds that the thread and its connection stay without anything to do."""

MOST_TAKINGS = 1000
"""Takings that go into one command: the server does nothing else meanwhile."""

SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local levels, key, at = {}, 0, 1
while at <= #ARGV do
  local count, is_enough = tonumber(ARGV[at]), true
  for i = 1, count do
    local amount, most, seconds = tonumber(ARGV[at + 3 * i - 2]), tonumber(ARGV[at + 3 * i - 1]), tonumber(ARGV[at + 3 * i])
    local found = redis.call('HMGET', KEYS[key + i], 'level', 'at')
    local elapsed = math.max(now - (tonumber(found[2]) or now), 0)
    levels[key + i] = math.max((tonumber(found[1]) or 0) - elapsed * most / (seconds * 1000), 0)
    is_enough = is_enough and levels[key + i] + amount - most <= 1e-6
  end
  for i = 1, count do
    local name, level = KEYS[key + i], levels[key + i]
    levels[key + i] = string.format('%.17g', level)
    if is_enough then
      redis.call('HSET', name, 'level', string.format('%.17g', level + tonumber(ARGV[at + 3 * i - 2])), 'at', now)
      redis.call('PEXPIRE', name, tonumber(ARGV[at + 3 * i]) * 1000)
    end
  end
  key, at = key + count, at + 1 + 3 * count
end
return levels
"""
"""Takes what each group of takings wants, as ``settle`` does, and returns the level of each key before it."""


class RedisMeter:
    """A ``Meter``. ``url`` is ``redis://[[user:]password@]host[:port]`` (``rediss://`` for TLS; or ``valkey://``, ``valkeys://``).

    Its keys begin with ``prefix``, and go by themselves when nothing of theirs is used any more. One connection serves all event loops of a
    process, from a thread of its own, and takings that come while it waits for an answer go together. Raises ``ConfigurationError``, and
    from ``take`` what the client raises when the server is away.
    """

    def __init__(self, url: str, *, prefix: str = "conversation_kit:meter") -> None:
        self._url = plain_url("meter", url)
        self._prefix = prefix
        self._begin()
        forks.watch(self, in_child=RedisMeter._begin)

    def _begin(self) -> None:
        """Begin without a thread; what waits belongs to the parent of a forked process."""
        self._lock = threading.Lock()
        self._pending: list[_Job] = []
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], object] | None = None
        self._closes = False

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        """See ``Meter.take``."""
        job = _Job(takings)
        with self._lock:
            self._pending.append(job)
            self._rouse()
        with anyio.fail_after(CONNECT_SECONDS + ANSWER_SECONDS):
            await job.done.wait()
        if job.error is not None:
            raise job.error
        return settle(takings, job.levels)[1]

    async def open(self) -> None:
        """See ``Connected.open``. The first taking connects."""

    async def close(self) -> None:
        """See ``Connected.close``. What waits is carried out first."""
        with self._lock:
            thread = self._thread
            self._closes = True
            if self._wake is not None:
                self._wake()
        if thread is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(thread.join, CONNECT_SECONDS + ANSWER_SECONDS)

    def _rouse(self) -> None:
        """Have a thread that looks at what waits; called with the lock."""
        if self._thread is None:
            self._closes = False
            self._thread = threading.Thread(target=anyio.run, args=(self._work,), name="conversation-kit-meter", daemon=True)
            self._thread.start()
        elif self._wake is not None:
            self._wake()

    async def _work(self) -> None:
        """Do the work of the thread."""
        changed = anyio.Event()
        loop: Any = current_token().native_token

        def wake() -> None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(lambda: changed.set())

        async def more() -> bool:
            """Wait for something to do; without anything for long this was the last thing that the thread does."""
            nonlocal changed
            with anyio.move_on_after(IDLE_SECONDS):
                while not self._pending and not self._closes:
                    await changed.wait()
                    changed = anyio.Event()
            with self._lock:
                if self._pending:
                    return True
                self._thread, self._wake = None, None
                return False

        with self._lock:
            self._wake = wake
        while await more():
            broken = False
            try:
                async with make_client(self._url) as client:
                    script = client.register_script(SCRIPT)
                    while not broken and await more():
                        broken = not await self._answer(script)
                if not broken:
                    return
            except Exception as error:
                self._fail(self._taken(), error)

    async def _answer(self, script: Any) -> bool:
        """Carry out what waits; tell whether the connection can be used again."""
        jobs = self._taken()
        keys = [f"{self._prefix}:{{{one.application_id}}}:{one.key}" for job in jobs for one in job.takings]
        arguments: list[int] = []
        for job in jobs:
            arguments.append(len(job.takings))
            for one in job.takings:
                arguments += (one.amount, one.rate.amount, one.rate.seconds)
        try:
            levels = [float(level) for level in await script(keys, arguments)]
        except Exception as error:
            if isinstance(error, (ServerGone, OSError)) and not any(job.was_tried for job in jobs):
                # The server may have ended it while nobody used it. If the command arrived, its takings are counted twice.
                with self._lock:
                    self._pending[:0] = jobs
                for job in jobs:
                    job.was_tried = True
            else:
                self._fail(jobs, error)
            return False
        for job in jobs:
            job.settle(levels[: len(job.takings)])
            del levels[: len(job.takings)]
        return True

    def _taken(self) -> list[_Job]:
        """Return what waits, so much of it as goes into one command."""
        with self._lock:
            taken, self._pending = self._pending[:MOST_TAKINGS], self._pending[MOST_TAKINGS:]
        return taken

    @staticmethod
    def _fail(jobs: Sequence[_Job], error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        for job in jobs:
            job.error = error
            job.settle(())


class _Job:
    """One call of ``take``, on the event loop that it is made on."""

    def __init__(self, takings: Sequence[Taking]) -> None:
        self.takings = takings
        self.done = anyio.Event()
        self.levels: Sequence[float] = ()
        self.error: Exception | None = None
        self.was_tried = False
        self._loop = Loop()

    def settle(self, levels: Sequence[float]) -> None:
        """Let the caller go on with these levels, or its error."""
        self.levels = levels
        self._loop.call_soon(self.done.set)
