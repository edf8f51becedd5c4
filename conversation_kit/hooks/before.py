"""Hooks before a command: in order, time-boxed, able to change or refuse it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from anyio.lowlevel import RunVar

from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import ConfigurationError, HookFailed, RequestError
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.signals import Signal
from conversation_kit.hooks.bounds import Bounds, current_bounds
from conversation_kit.hooks.invoking import Overran, Pool, invoke, name_of
from conversation_kit.hooks.selection import check_parentheses
from conversation_kit.hooks.signatures import check_function, check_seconds

logger = logging.getLogger("conversation_kit")

C = TypeVar("C", bound=Command)
OnFailure: TypeAlias = Literal["reject", "allow"]
NOTHING_DONE = " The request was not carried out."
_hook_threads: Pool = RunVar("conversation_kit_hooks")


@dataclass(frozen=True, slots=True)
class Context:
    """Second argument of a hook: the one who asks."""

    principal: Principal

    @property
    def application_id(self) -> str:
        """The application in which the command acts."""
        return self.principal.application_id


Hook: TypeAlias = Callable[[Any, Context], Awaitable[Command | None] | Command | None]


@dataclass(frozen=True, slots=True)
class _Registration:
    command: type[Command]
    hook: Hook
    timeout: float
    on_failure: OnFailure

    @property
    def name(self) -> str:
        return name_of(self.hook)


def check_before(command: type[Command], timeout: float, on_failure: OnFailure) -> None:
    """Raise ``ConfigurationError`` unless this is how a ``before`` hook can be registered."""
    if isinstance(command, type) and issubclass(command, Signal):
        raise ConfigurationError(f"{command.__name__} is a signal, which comes after the commit: register for it with @kit.on.")
    check_parentheses(command, "before", "CreateEvent")
    if not (isinstance(command, type) and issubclass(command, Command)):
        raise ConfigurationError(f"before() takes a command class such as CreateEvent, not {command!r}.")
    if on_failure not in ("reject", "allow"):
        raise ConfigurationError(f'before() takes on_failure="reject" or "allow", not {on_failure!r}.')
    check_seconds("before()", timeout)


class Hooks:
    """The ``before`` hooks of one kit, in the order of their registration."""

    def __init__(self) -> None:
        self.registrations: list[_Registration] = []
        self._by_type: dict[type[Command], tuple[_Registration, ...]] = {}

    def add(self, command: type[Command], hook: Hook, *, timeout: float, on_failure: OnFailure) -> None:
        """Register ``hook`` for ``command`` and its subclasses. Raises ``ConfigurationError`` for what cannot be called with one."""
        check_function("before()", hook, "the command", "the context")
        self.registrations.append(_Registration(command, hook, timeout, on_failure))
        self._by_type.clear()

    def watch(self, command: Command) -> bool:
        """Tell whether any hook sees this command."""
        return bool(self._of(type(command)))

    def _of(self, type_: type[Command]) -> tuple[_Registration, ...]:
        registrations = self._by_type.get(type_)
        if registrations is None:
            registrations = tuple(one for one in self.registrations if issubclass(type_, one.command))
            self._by_type[type_] = registrations
        return registrations

    async def run(self, command: C, principal: Principal) -> C:
        """Let every hook see the command as the one before left it.

        Raises what a hook raises of ``RequestError`` (``Rejected`` among them), and ``HookFailed`` when a hook registered with
        ``on_failure="reject"`` raises anything else or runs out of time.
        """
        registrations = self._of(type(command))
        if not registrations:
            return command
        context = Context(principal)
        for registration in registrations:
            changed = await self._run_one(registration, command, context)
            if changed is not None:
                command = changed
        return command

    async def _run_one(self, registration: _Registration, command: C, context: Context) -> C | None:
        name = registration.name
        try:
            bounds = bounds_of_hook(name, registration.timeout)
            changed = await invoke(_hook_threads, bounds, registration.hook, command, context)
            if changed is not None and type(changed) is not type(command):
                raise TypeError(f"a hook of {type(command).__name__} returned {type(changed).__name__}")
        except RequestError:
            raise
        except HookFailed:
            # A hook of what this one asked of the kit, which is in the log already.
            if registration.on_failure == "reject":
                raise
            return None
        except Exception as error:
            what = str(error) if isinstance(error, Overran) else "raised"
            how = logger.error if isinstance(error, Overran) else logger.exception
            if registration.on_failure == "allow":
                how("before hook %s %s; the command goes on without it", name, what)
                return None
            how("before hook %s %s; the command is refused", name, what)
            raise HookFailed(
                f"A hook of this server {'took too long' if isinstance(error, Overran) else 'raised'}.{NOTHING_DONE}"
            ) from error
        return changed


def bounds_of_hook(name: str, seconds: float) -> Bounds:
    """Return the limits of a function that is asked before something happens.

    Raises ``HookFailed`` when it is one of too many.
    """
    outer = current_bounds()
    if outer is not None and outer.spend(1) is not None:
        what = "took too long" if not outer.left else "causes too much"
        raise HookFailed(f"A hook of this server {what}.{NOTHING_DONE}")
    return Bounds.of(name, seconds, outer)
