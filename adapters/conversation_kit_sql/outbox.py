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

from conversation_kit.domain.signals import Signal
from conversation_kit.ports import Publish

log = logging.getLogger("conversation_kit_sql")
KEY = "conversation_kit_outbox"


class Courier:
    """Takes signals to the event loop on which it was made, from whichever thread the host commits in."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._token = current_token()
        self._context = copy_context()
        self._lock = threading.Lock()
        self._away = 0
        self._back = anyio.Event()

    def leave(self) -> None:
        """It has something to take."""
        with self._lock:
            self._away += 1

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Publish, and return when that is done. Called once for each ``leave``, in a thread that may block. Raises nothing."""
        try:
            self._context.copy().run(self._call, signals)
        except BaseException:
            # Nobody waits any more: the loop has ended, or is about to.
            log.exception("%d signals of a committed transaction could not be announced", len(signals))

    def _call(self, signals: Sequence[Signal]) -> None:
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
class _Letter:
    """The signals of one write, and the savepoints that it lies in."""

    courier: Courier
    signals: Sequence[Signal]
    savepoints: frozenset[str]


class Outbox:
    """The letters of one connection's transaction."""

    def __init__(self) -> None:
        self._letters: list[_Letter] = []
        self._committed: list[_Letter] = []

    def add(self, connection: Connection, courier: Courier, signals: Sequence[Signal]) -> None:
        """Keep the signals of what has just been written on ``connection``."""
        self._letters.append(_Letter(courier, signals, frozenset(_savepoints(connection))))

    def commit(self, *_: Any) -> None:
        """A commit is being tried."""
        self._committed, self._letters = self._letters, []

    def discard(self, *_: Any) -> None:
        """The transaction is rolled back, or its commit has failed."""
        self._committed, self._letters = [], []

    def rollback_savepoint(self, connection: Connection, name: str, context: None) -> None:
        """What was written since that savepoint is undone."""
        self._letters = [letter for letter in self._letters if name not in letter.savepoints]

    def settle(self, *_: Any) -> None:
        """Send what is committed on its way. The caller, which may be on the event loop and inside a commit, does not wait for it."""
        committed, self._committed = self._committed, []
        if committed:
            _send(committed)


def _send(letters: Sequence[_Letter]) -> None:
    runs = [(courier, [signal for letter in run for signal in letter.signals]) for courier, run in groupby(letters, key=_courier)]
    for courier, _ in runs:
        courier.leave()
    threading.Thread(target=_deliver, args=(runs,), name="conversation-kit signals", daemon=True).start()


def _courier(letter: _Letter) -> Courier:
    return letter.courier


def _deliver(runs: Iterable[tuple[Courier, Sequence[Signal]]]) -> None:
    for courier, signals in runs:
        courier.deliver(signals)


def _savepoints(connection: Connection) -> Iterable[str]:
    """The names of the open savepoints. SQLAlchemy tells the innermost one only, and no names."""
    nested: Any = connection.get_nested_transaction()
    while nested is not None:
        yield nested._savepoint
        nested = nested._previous_nested


_outboxes: WeakKeyDictionary[Connection, Outbox] = WeakKeyDictionary()
_listening: WeakSet[Pool | Dialect] = WeakSet()
"""Not what ``event.contains`` is for: it goes by ``id``, and takes a new pool for one that is no more."""

_lock = threading.Lock()


def outbox_of(connection: Connection) -> Outbox | None:
    """The outbox of the connection's transaction, if it has one."""
    return _outboxes.get(connection)


def make_outbox(connection: Connection) -> Outbox:
    """The outbox of a connection, from now on told what becomes of its transactions."""
    outbox = Outbox()
    for name, listener in (
        ("commit", outbox.commit),
        ("commit_twophase", outbox.commit),
        ("rollback", outbox.discard),
        ("rollback_twophase", outbox.discard),
        ("rollback_savepoint", outbox.rollback_savepoint),
        ("begin", outbox.settle),
        ("begin_twophase", outbox.settle),
    ):
        event.listen(connection, name, listener)
    pool, dialect = connection.engine.pool, connection.dialect
    with _lock:
        _outboxes[connection] = outbox
        if pool not in _listening:
            _listening.add(pool)
            event.listen(pool, "checkin", _checked_in)
        if dialect not in _listening:
            _listening.add(dialect)
            event.listen(dialect, "handle_error", _failed)
    connection.info[KEY] = outbox
    return outbox


def _checked_in(dbapi_connection: object, record: Any) -> None:
    outbox: Outbox | None = record.info.pop(KEY, None)
    if outbox is not None:
        outbox.settle()


def _failed(context: ExceptionContext) -> None:
    """A commit that fails is one of the errors of a connection, and those that come before it find nothing committed."""
    outbox = _outboxes.get(context.connection) if context.connection is not None else None
    if outbox is not None:
        outbox._committed = []
