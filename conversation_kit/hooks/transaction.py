"""Inside the transaction: the host's own writes beside those of the kit, in one commit."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeAlias

from conversation_kit.domain.errors import ConfigurationError, HookFailed, RequestError
from conversation_kit.domain.scene import Changes
from conversation_kit.domain.signals import Signal
from conversation_kit.hooks.before import NOTHING_DONE
from conversation_kit.hooks.invoking import is_async, is_deadly, name_of
from conversation_kit.hooks.selection import Selection
from conversation_kit.hooks.signatures import check_function
from conversation_kit.ports import Within

logger = logging.getLogger("conversation_kit")

WithinHook: TypeAlias = Callable[[Any, Any], object]
"""Function that gets the signal that will be announced once all is committed, and the storage's live session."""


@dataclass(frozen=True, slots=True)
class _Registration:
    selection: Selection
    hook: WithinHook

    @property
    def name(self) -> str:
        return name_of(self.hook)


class WithinFailed(HookFailed):
    """Failure that a ``within`` hook caused by raising.

    It is logged as ``told`` only when the storage does not try again.
    """

    def __init__(self, told: str) -> None:
        super().__init__(f"A hook of this server raised.{NOTHING_DONE}")
        self.told = told


class WithinHooks:
    """The ``within`` hooks of one kit, in the order of their registration."""

    def __init__(self) -> None:
        self.registrations: list[_Registration] = []

    def add(self, selection: Selection, hook: WithinHook) -> None:
        """Register ``hook`` for a ``Selection``. Raises ``ConfigurationError`` for an async hook, and what cannot be called."""
        if not issubclass(selection.signal, Signal):
            raise ConfigurationError(f"within() cannot be told of {selection.signal.__name__}, which has no transaction: use on().")
        check_function("within()", hook, "the signal", "the session")
        if is_async(hook):
            raise ConfigurationError(
                f"within() takes a plain function, and {hook!r} is async: it runs inside the transaction, where the database has a worker "
                "thread to itself and nothing can be awaited. Make it a def; its session is a sync one."
            )
        self.registrations.append(_Registration(selection, hook))

    def beside(self) -> Within:
        """Return the work to do beside a change, by its signals.

        The hooks run in the context variables of the caller, whichever thread carries out the write.
        """
        context = copy_context()

        def within(changes: Changes[Any]) -> Callable[[Any], None] | None:
            wanted = [(one, signal) for signal in changes.signals for one in self.registrations if one.selection.wants(signal)]
            return (lambda session: context.run(_run, wanted, session)) if wanted else None

        return within


@contextmanager
def logged() -> Iterator[None]:
    """Log what a hook raised if that is how a write ends."""
    try:
        yield
    except WithinFailed as error:
        logger.error("%s; the command is undone", error.told, exc_info=error.__cause__)
        raise


@dataclass(slots=True)
class _Run:
    """A hook at work: as long as it is, its transaction holds the locks."""

    name: str
    has_ended: bool = False


running: ContextVar[_Run | None] = ContextVar("conversation_kit_within", default=None)
"""The hook that this code is called by, if any; it may have ended since."""


def check_outside() -> None:
    """Raise ``ConfigurationError`` if a ``within`` hook calls this: the kit would wait for a transaction that waits for it."""
    run = running.get()
    if run is not None and not run.has_ended:
        raise ConfigurationError(
            f"The within hook {run.name} calls the kit, which would wait for ever for the transaction that the hook is in: write with the "
            "session that the hook gets, or call the kit from a receiver (@kit.on), after the commit."
        )


def _run(wanted: Sequence[tuple[_Registration, Signal]], session: Any) -> None:
    """Run hooks one after the other. Raises what one raises of ``RequestError``, and ``WithinFailed`` for anything else."""
    for registration, signal in wanted:
        run = _Run(registration.name)
        token = running.set(run)
        try:
            answer: Any = registration.hook(signal, session)
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError("a within hook returned something to await")
            # What the database thinks of the hook's rows is told here, where it is known whose they are.
            session.flush()
        except RequestError:
            raise
        except BaseException as error:
            if not isinstance(error, Exception) and not is_deadly(error):
                raise
            raise WithinFailed(f"within hook {registration.name} of {type(signal).__name__} raised") from error
        finally:
            run.has_ended = True
            running.reset(token)
