"""Inside the transaction: the host's own writes beside those of the kit, in one commit."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from conversation_kit.domain.errors import ConfigurationError, HookFailed, RequestError
from conversation_kit.domain.signals import Signal
from conversation_kit.hooks import is_async
from conversation_kit.hub import Selection
from conversation_kit.ports import Within

logger = logging.getLogger("conversation_kit")

R = TypeVar("R")
WithinHook: TypeAlias = Callable[[Any, Any], object]
"""Gets the signal that will be announced once all is committed, and the storage's live session."""


@dataclass(frozen=True, slots=True)
class _Registration:
    selection: Selection
    hook: WithinHook

    @property
    def name(self) -> str:
        return getattr(self.hook, "__qualname__", repr(self.hook))


class WithinHooks:
    """The ``within`` hooks of one kit, in the order of their registration."""

    def __init__(self) -> None:
        self._registrations: list[_Registration] = []

    def add(self, what: type[Signal] | str, hook: WithinHook) -> None:
        """Register ``hook`` for a ``Selection``. Raises ``ConfigurationError`` for what is none, and for an async hook."""
        selection = Selection.of(what, "within")
        if is_async(hook):
            raise ConfigurationError(
                f"within() takes a plain function, and {hook!r} is async: it runs inside the transaction, where the database has a worker "
                "thread to itself and nothing can be awaited. Make it a def; its session is a sync one."
            )
        self._registrations.append(_Registration(selection, hook))

    def beside(self, signals: Callable[[R], Sequence[Signal]]) -> Within[R] | None:
        """What has to happen beside a write whose result means these signals; ``None`` when there are no hooks at all.

        The hooks run in the context variables of the caller, whichever thread carries out the write.
        """
        if not self._registrations:
            return None
        context = copy_context()

        def within(result: R) -> Callable[[Any], None] | None:
            wanted = [(one, signal) for signal in signals(result) for one in self._registrations if one.selection.wants(signal)]
            return (lambda session: context.run(_run, wanted, session)) if wanted else None

        return within


def _run(wanted: Sequence[tuple[_Registration, Signal]], session: Any) -> None:
    """Run hooks one after the other. Raises what one raises of ``RequestError``, and ``HookFailed`` for anything else."""
    for registration, signal in wanted:
        try:
            answer: Any = registration.hook(signal, session)
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError("a within hook returned something to await")
            # What the database thinks of the hook's rows is told here, where it is known whose they are.
            session.flush()
        except RequestError:
            raise
        except Exception as error:
            logger.exception("within hook %s of %s raised; the command is undone", registration.name, type(signal).__name__)
            raise HookFailed("A hook of this server raised, so the request was not carried out.") from error
