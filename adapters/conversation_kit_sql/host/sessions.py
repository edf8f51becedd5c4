"""The ways to a host's ``Connection``: in a worker thread for what is sync, by ``run_sync`` for what is async."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session

from conversation_kit.domain.errors import ConfigurationError

T = TypeVar("T")
Work = Callable[[Connection], T]


class Run(Protocol):
    """Function that runs another one with the connection of a host's transaction."""

    def __call__(self, work: Work[T], /) -> Awaitable[T]:
        """Return the result of ``work``, or raise its error."""
        ...


def way_to(session: Any) -> Run:
    """Return the way to work on the connection of this session or connection. Raises ``ConfigurationError`` if it is not SQLAlchemy's."""
    # A scoped session is another one in each thread; what is meant is that of the caller.
    session = session.registry() if hasattr(session, "registry") else session
    if isinstance(session, Session):
        return partial(_in_thread, partial(_on_session, session))
    if isinstance(session, Connection):
        return partial(_in_thread, partial(_on_connection, session))
    # By their names and not by their types, whose module needs greenlet.
    if isinstance(getattr(session, "sync_session", None), Session):
        return partial(_in_greenlet, session, _on_session)
    if hasattr(session, "sync_connection") and hasattr(session, "run_sync"):
        return partial(_in_greenlet, session, _on_connection)
    raise ConfigurationError(f"kit.using() takes an SQLAlchemy Session, AsyncSession, Connection or AsyncConnection, not {session!r}.")


def _on_session(session: Session, work: Work[T]) -> T:
    try:
        connection = session.connection()
    except UnboundExecutionError as error:
        raise ConfigurationError("kit.using() needs a session that is bound to the database of the kit's storage.") from error
    return work(connection)


def _on_connection(connection: Connection, work: Work[T]) -> T:
    return work(connection)


async def _in_greenlet(session: Any, on: Callable[[Any, Work[T]], T], work: Work[T]) -> T:
    result: T = await session.run_sync(on, work)
    return result


async def _in_thread(on: Callable[[Work[T]], T], work: Work[T]) -> T:
    """Run in a worker thread, and do not return before that is done: the session is the host's again then, and not for two threads.

    anyio waits for its threads, but asyncio itself may cancel against that, as ``asyncio.wait_for`` does.
    """
    lock, done = threading.Lock(), threading.Event()
    left = started = False

    def run() -> T | None:
        nonlocal started
        with lock:
            if left:
                return None
            started = True
        try:
            return on(work)
        finally:
            done.set()

    try:
        with anyio.CancelScope(shield=True):
            result: Any = await anyio.to_thread.run_sync(run)
    except anyio.get_cancelled_exc_class():
        with lock:
            left = True
        if started and not done.is_set():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(done.wait)
        raise
    return result  # type: ignore[no-any-return]
