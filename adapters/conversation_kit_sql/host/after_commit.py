"""Signals of a transaction that the host commits: kept until then, forgotten when it is rolled back.

Everything is learnt from the events of the one ``Connection`` that the transaction runs on, whatever kind of session is around it; the
host's engine is not slowed down. SQLAlchemy announces a commit before it is tried, so the signals are on their way only when it is known
to have come off: when the connection goes back to its pool, begins its next transaction, or the block of the kit ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import anyio
import anyio.from_thread
from anyio.lowlevel import current_token
from sqlalchemy import Connection, Dialect, Pool, event
from sqlalchemy.engine import ExceptionContext

from conversation_kit import forks
from conversation_kit.domain.signals import Signal
from conversation_kit.ports import Publish

log = logging.getLogger("conversation_kit_sql")
KEY = "conversation_kit_outbox"


class SignalSender:
    """Way for signals to the event loop on which it was made, from whichever thread the host commits in."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._token = current_token()
        self._context = copy_context()
        self._lock = threading.Lock()
        self._away = 0
        self._back = anyio.Event()

    def leave(self) -> None:
        """Note that it has something to take."""
        with self._lock:
            self._away += 1

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Publish, and return when that is done. Called once for each ``leave``, in a thread that may block. Raises nothing."""
        try:
            self._context.copy().run(self._publish_there, signals)
        except BaseException:
            # Nobody waits any more: the loop has ended, or is about to.
            log.exception("%d signals of a committed transaction could not be announced", len(signals))

    def _publish_there(self, signals: Sequence[Signal]) -> None:
        anyio.from_thread.run(self._arrive, signals, token=self._token)

    async def _arrive(self, signals: Sequence[Signal]) -> None:
        try:
            await self._publish(signals)
        finally:
            with self._lock:
                self._away -= 1
            self._back.set()

    async def returned(self) -> None:
        """Wait until everything that it left with is published."""
        while self._away:
            self._back = anyio.Event()
            await self._back.wait()


@dataclass(frozen=True, slots=True)
class _Announcement:
    """The signals of one write, and the savepoints that it lies in."""

    sender: SignalSender
    signals: Sequence[Signal]
    savepoints: frozenset[str]


class AfterCommitQueue:
    """The announcements of one connection's transaction."""

    def __init__(self) -> None:
        self._announcements: list[_Announcement] = []
        self._committed: list[_Announcement] = []

    def add(self, connection: Connection, sender: SignalSender, signals: Sequence[Signal]) -> None:
        """Keep the signals of what has just been written on ``connection``."""
        self._announcements.append(_Announcement(sender, signals, frozenset(_savepoints(connection))))

    def commit(self, *_: Any) -> None:
        """Note that a commit is being tried."""
        self._committed, self._announcements = self._announcements, []

    def discard(self, *_: Any) -> None:
        """Forget all announcements: the transaction is rolled back, or its commit has failed."""
        self._committed, self._announcements = [], []

    def rollback_savepoint(self, connection: Connection, name: str, context: None) -> None:
        """Forget the announcements that were written since that savepoint, which is undone."""
        self._announcements = [announcement for announcement in self._announcements if name not in announcement.savepoints]

    def settle(self, *_: Any) -> None:
        """Send what is committed on its way. The caller, which may be on the event loop and inside a commit, does not wait for it."""
        committed, self._committed = self._committed, []
        if committed:
            _send(committed)


def _send(announcements: Sequence[_Announcement]) -> None:
    runs = [
        (sender, [signal for announcement in some for signal in announcement.signals])
        for sender, some in groupby(announcements, key=_sender)
    ]
    for sender, _ in runs:
        sender.leave()
    threading.Thread(target=_deliver, args=(runs,), name="conversation-kit signals", daemon=True).start()


def _sender(announcement: _Announcement) -> SignalSender:
    return announcement.sender


def _deliver(runs: Iterable[tuple[SignalSender, Sequence[Signal]]]) -> None:
    for sender, signals in runs:
        sender.deliver(signals)


def _savepoints(connection: Connection) -> Iterable[str]:
    """Yield the names of the open savepoints. SQLAlchemy tells the innermost one only, and no names."""
    nested: Any = connection.get_nested_transaction()
    while nested is not None:
        yield nested._savepoint
        nested = nested._previous_nested


_queues: WeakKeyDictionary[Connection, AfterCommitQueue] = WeakKeyDictionary()
_listening: WeakSet[Pool | Dialect] = WeakSet()
"""Not what ``event.contains`` is for: it goes by ``id``, and takes a new pool for one that is no more."""

_lock = forks.lock()


def queue_of(connection: Connection) -> AfterCommitQueue | None:
    """Return the outbox of the connection's transaction, if it has one."""
    return _queues.get(connection)


def make_queue(connection: Connection) -> AfterCommitQueue:
    """Make an outbox for a connection, which is told from now on what becomes of its transactions."""
    queue = AfterCommitQueue()
    for name, listener in (
        ("commit", queue.commit),
        ("commit_twophase", queue.commit),
        ("rollback", queue.discard),
        ("rollback_twophase", queue.discard),
        ("rollback_savepoint", queue.rollback_savepoint),
        ("begin", queue.settle),
        ("begin_twophase", queue.settle),
    ):
        event.listen(connection, name, listener)
    pool, dialect = connection.engine.pool, connection.dialect
    with _lock:
        _queues[connection] = queue
        if pool not in _listening:
            _listening.add(pool)
            event.listen(pool, "checkin", _checked_in)
        if dialect not in _listening:
            _listening.add(dialect)
            event.listen(dialect, "handle_error", _failed)
    connection.info[KEY] = queue
    return queue


def _checked_in(dbapi_connection: object, record: Any) -> None:
    queue: AfterCommitQueue | None = record.info.pop(KEY, None)
    if queue is not None:
        queue.settle()


def _failed(context: ExceptionContext) -> None:
    """Forget the announcements of a commit that fails. Errors of a connection that come before its commit find nothing committed."""
    queue = _queues.get(context.connection) if context.connection is not None else None
    if queue is not None:
        queue._committed = []
