"""Storages in whose transactions the host's code can have a part, and transactions of the host in which the kit can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.domain.signals import Signal
from conversation_kit.ports.storage import Storage

T = TypeVar("T")
Publish: TypeAlias = Callable[[Sequence[Signal]], Awaitable[None]]
Within: TypeAlias = Callable[[Changes[Any]], Callable[[Any], None] | None]
"""Function that tells what else has to happen in the transaction of a change.

Given what ``Storage.change`` is about to return, it returns a function of the live session, or ``None`` for nothing. Pure, and cheap."""


class TransactionalStorage(Storage, Protocol):
    """A storage on a database in whose transactions the host's code can have a part; its ``capabilities.transactions`` is true.

    Its ``change`` takes ``within``. What that returns for the changes is called with the live session after everything is written
    and before the commit, in a thread or greenlet that may block. What it raises is passed on, and nothing of this write has happened then;
    writes of others are not concerned. When the database makes the storage try again, it is called again; so it is when what it raises is a
    ``HookFailed`` whose cause says that the database has rolled the transaction back because of another one. What the database refuses only
    at the commit is a ``HookFailed``. A session has at least ``flush``.
    """

    def change(
        self,
        application_id: str,
        conversation_id: str | None,
        needs: Needs,
        decide: Decide[T],
        *,
        within: Within | None = None,
    ) -> Coroutine[Any, Any, Changes[T]]:
        """See ``Storage.change``."""
        ...

    def in_transaction(self, session: Any, publish: Publish) -> AbstractAsyncContextManager[HostTransaction]:
        """Return the host's own transaction, which ``session`` is in or will begin, as a storage for the length of the block.

        Signals that it is told of go to ``publish`` once the host has committed, at latest before the block ends if that is already so,
        and nowhere if they were rolled back. ``publish`` runs on the event loop that entered the block. Raises ``ConfigurationError`` for
        what is no session.
        """
        ...


@dataclass(frozen=True, slots=True)
class HostTransaction:
    """A host's transaction: a storage all of whose methods run in it, and what takes the signals of its writes."""

    storage: Storage
    announce: Publish
