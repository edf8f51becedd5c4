"""Faults of a function of the host, told where it is registered and not when it is called."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.hooks.invoking import innermost, name_of


def check_function(what: str, function: Callable[..., Any], *arguments: str) -> None:
    """Raise ``ConfigurationError`` unless ``what`` can call ``function`` with these ``arguments``, by position."""
    if not callable(function):
        raise ConfigurationError(f"{what} takes a function of {' and '.join(arguments)}, not {function!r}.")
    inner = innermost(function)
    for each in (inner, getattr(inner, "__call__", None)):  # noqa: B004
        if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            raise ConfigurationError(f"{what} takes a plain or an async function, and {name_of(function)} has a yield: it would never run.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a function in C that does not tell
    try:
        signature.bind(*arguments)
    except TypeError as error:
        usage = f"called with {len(arguments)} argument{'s' if len(arguments) > 1 else ''}, {' and '.join(arguments)}"
        raise ConfigurationError(f"{what}: {name_of(function)} is {usage}, and takes {signature}: {error}.") from None


def check_seconds(what: str, seconds: float) -> None:
    """Raise ``ConfigurationError`` for a time limit that is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise ConfigurationError(f"{what} takes a timeout of more than 0 seconds, not {seconds!r}.")
