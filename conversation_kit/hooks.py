"""Hooks before a command: in order, time-boxed, able to change or refuse it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import ConfigurationError, HookFailed, RequestError
from conversation_kit.domain.principals import Principal

logger = logging.getLogger("conversation_kit")

C = TypeVar("C", bound=Command)
OnFailure: TypeAlias = Literal["reject", "allow"]
THREADS = 40
"""How many of the host's sync functions of one kind may run at once."""

Pool: TypeAlias = RunVar[anyio.CapacityLimiter]
_hook_threads: Pool = RunVar("conversation_kit_hooks")


@dataclass(frozen=True, slots=True)
class Context:
    """What a hook gets beside the command: who asks."""

    principal: Principal

    @property
    def application_id(self) -> str:
        """The application in which the command acts."""
        return self.principal.application_id


Hook: TypeAlias = Callable[[Any, Context], Awaitable[Command | None] | Command | None]


async def call(pool: Pool, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a host's function: an async one here, a sync one in a worker thread that a time limit can leave behind.

    Each kind of function has threads of its own, so that receivers that hang keep no hook from running.
    """
    if is_async(function):
        return await function(*arguments)
    limiter = pool.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(THREADS)
        pool.set(limiter)
    result = await anyio.to_thread.run_sync(lambda: function(*arguments), abandon_on_cancel=True, limiter=limiter)
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling ``function`` gives a coroutine; objects with an async ``__call__`` and partials count too."""
    while hasattr(function, "func"):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


@dataclass(frozen=True, slots=True)
class _Registration:
    command: type[Command]
    hook: Hook
    timeout: float
    on_failure: OnFailure

    @property
    def name(self) -> str:
        return getattr(self.hook, "__qualname__", repr(self.hook))


class Hooks:
    """The ``before`` hooks of one kit, in the order of their registration."""

    def __init__(self) -> None:
        self._registrations: list[_Registration] = []
        self._by_type: dict[type[Command], tuple[_Registration, ...]] = {}

    def add(self, command: type[Command], hook: Hook, *, timeout: float, on_failure: OnFailure) -> None:
        """Register ``hook`` for ``command`` and its subclasses. Raises ``ConfigurationError`` for what is no command."""
        if not (isinstance(command, type) and issubclass(command, Command)):
            raise ConfigurationError(f"before() takes a command class such as CreateEvent, not {command!r}.")
        if on_failure not in ("reject", "allow") or timeout <= 0:
            raise ConfigurationError('before() takes a timeout of more than 0 seconds and on_failure="reject" or "allow".')
        self._registrations.append(_Registration(command, hook, timeout, on_failure))
        self._by_type.clear()

    def watch(self, command: Command) -> bool:
        """Whether any hook sees this command."""
        return bool(self._registrations and self._of(type(command)))

    def _of(self, type_: type[Command]) -> tuple[_Registration, ...]:
        registrations = self._by_type.get(type_)
        if registrations is None:
            registrations = tuple(one for one in self._registrations if issubclass(type_, one.command))
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
        try:
            with anyio.fail_after(registration.timeout):
                changed = await call(_hook_threads, registration.hook, command, context)
            if changed is not None and type(changed) is not type(command):
                raise TypeError(f"a hook of {type(command).__name__} returned {type(changed).__name__}")
        except RequestError:
            raise
        except Exception as error:
            what = f"ran longer than {registration.timeout} s" if isinstance(error, TimeoutError) else "raised"
            if registration.on_failure == "allow":
                logger.exception("before hook %s %s; the command goes on without it", registration.name, what)
                return None
            logger.exception("before hook %s %s; the command is refused", registration.name, what)
            raise HookFailed(f"A hook of this server {what}, so the request was not carried out.") from error
        return changed
