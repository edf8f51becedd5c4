"""Calling the host's functions: async ones on the event loop, sync ones in worker threads, all within time limits."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from functools import partial
from traceback import walk_stack, walk_tb
from types import CodeType, TracebackType
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from conversation_kit.hooks.bounds import Bounds, Running, running

THREADS = 40
"""Number of the host's sync functions of one kind that may run at once."""

Pool: TypeAlias = RunVar[anyio.CapacityLimiter]


class Overran(Exception):
    """A function of the host reached its deadline; the message says which limit it was, and the line that it had reached."""


class Escaped(Exception):
    """A function of the host raised what would have ended the server, such as ``SystemExit``."""


async def invoke(pool: Pool, bounds: Bounds, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a host's function: an async one here, a sync one in a worker thread, which is left behind at the deadline.

    Each kind of function has threads of its own, so that receivers that hang keep no hook from running. Raises what the function raises,
    ``Overran`` at the deadline, and ``Escaped`` instead of what is no ``Exception``.
    """
    here = Running(bounds)
    token = running.set(here)
    reached = ""
    try:
        with anyio.move_on_after(bounds.left):
            try:
                return await _run(pool, here, function, arguments)
            except anyio.get_cancelled_exc_class() as error:
                reached = _reached(function, here, error.__traceback__)
                raise
    except BaseException as error:
        if is_deadly(error):
            raise escaped(function, error) from error
        raise
    finally:
        running.reset(token)
    raise Overran(bounds.overrun + reached)


async def _run(pool: Pool, here: Running, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    if is_async(function):
        result = function(*arguments)
    else:
        limiter = pool.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(THREADS)
            pool.set(limiter)
        result = await anyio.to_thread.run_sync(_run_sync, here, function, arguments, abandon_on_cancel=True, limiter=limiter)
        if not inspect.isawaitable(result):
            return result
    try:
        return await result
    finally:
        here.has_ended = True


def _run_sync(here: Running, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    here.thread = threading.get_ident()
    result = None
    try:
        result = function(*arguments)
    except BaseException as error:
        # Here, since event loops hand on errors of their threads, but not such errors.
        if is_deadly(error):
            raise escaped(function, error) from error
        raise
    finally:
        here.has_ended = not inspect.isawaitable(result)
        here.thread = None
    return result


def escaped(function: Callable[..., Any], error: BaseException) -> Escaped:
    """Return the error that is raised instead of a deadly one."""
    return Escaped(f"{name_of(function)} raised {error!r}, which cannot end the server")


def is_deadly(error: BaseException) -> bool:
    """Tell whether an error that a host's function raised would end more than the request: it is no ``Exception`` and no cancellation."""
    if isinstance(error, Exception):
        return False
    try:
        cancelled = anyio.get_cancelled_exc_class()
    except RuntimeError:
        return True  # in a thread without an event loop, which nobody cancels
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(cancelled) is None
    return not isinstance(error, cancelled)


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling ``function`` gives a coroutine; objects with an async ``__call__`` and partials count too."""
    function = innermost(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a host's function for logs, such that its author finds it."""
    function = innermost(function)
    name = getattr(function, "__qualname__", None) or f"an object of {type(function).__qualname__}"
    code = _code_of(function)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code is not None else name


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a partial calls in the end."""
    while isinstance(function, partial):
        function = function.func
    return function


def _code_of(function: Callable[..., Any]) -> CodeType | None:
    code = getattr(function, "__code__", None) or getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    return code if isinstance(code, CodeType) else None


def _reached(function: Callable[..., Any], here: Running, traceback: TracebackType | None) -> str:
    """Return the last line that a function reached before it was cut, as the end of a sentence; empty if it is unknown."""
    code = _code_of(innermost(function))
    if code is None:
        return ""
    if here.thread is not None:
        frame = sys._current_frames().get(here.thread)
        reached = [(each.f_code, number) for each, number in walk_stack(frame)]
    else:
        reached = [(each.f_code, number) for each, number in reversed(list(walk_tb(traceback)))]
    number = next((number for found, number in reached if found is code), None)
    return f": it was at line {number}" if number is not None else ""
