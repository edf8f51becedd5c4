"""A storage that is opened when it is first needed, and closed when the last of those who started it is done."""

from __future__ import annotations

import logging

import anyio
from anyio.lowlevel import RunVar

from conversation_kit import forks
from conversation_kit.domain.errors import StorageUnavailable
from conversation_kit.hooks.transaction import check_outside, running
from conversation_kit.ports import Storage

logger = logging.getLogger("conversation_kit")


class Lifecycle:
    """Opening of one storage, which is handed out open.

    Starts are counted, so that several lifespans may hold it.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._begin()
        forks.watch(self, in_child=Lifecycle._begin)
        # A lock belongs to its event loop, and a host may run several.
        self._lock: RunVar[anyio.Lock] = RunVar("conversation_kit_opening")

    def _begin(self) -> None:
        """Forget that anybody has it open: in a forked process nobody does, whatever the parent had."""
        self._starts = 0
        self._is_open = False
        self._is_in_use = False
        self.opened: Storage | None = None
        """The storage while it is open and somebody has it started; so that who writes again and again need not ask for it."""

    async def storage(self) -> Storage:
        """Return the storage; the first one to ask opens it.

        It stays open until ``close`` if it is asked for while nobody has it started.
        Raises ``ConfigurationError`` inside a ``within`` hook.
        """
        if running.get() is not None:
            check_outside()
        if not self._starts:
            self._is_in_use = True
        if not self._is_open:
            lock = self._lock.get(None)
            if lock is None:
                lock = anyio.Lock()
                self._lock.set(lock)
            async with lock:
                if not self._is_open:
                    await self._storage.open()
                    self._is_open = True
        if self._starts:
            self.opened = self._storage
        return self._storage

    async def start(self) -> None:
        """Open it, and keep it open until ``stop``. One that cannot answer now is opened when it is first needed."""
        self._starts += 1
        try:
            await self.storage()
        except StorageUnavailable as error:
            logger.error("the storage cannot be opened now, so the first request that needs it tries again: %s", error)
        except BaseException:
            self._starts -= 1
            raise

    @property
    def closes_next(self) -> bool:
        """Tell whether the next ``stop`` closes it."""
        return self._starts <= 1 and not self._is_in_use

    async def stop(self) -> None:
        """Undo one ``start``; the last one closes the storage, unless it is also used without."""
        self._starts = max(self._starts - 1, 0)
        if not self._starts:
            self.opened = None
        if not self._starts and not self._is_in_use:
            await self.close()

    async def close(self) -> None:
        """Close the storage. The next use opens it again."""
        self._is_in_use = False
        self.opened = None
        if self._is_open:
            self._is_open = False
            with anyio.CancelScope(shield=True):
                await self._storage.close()
