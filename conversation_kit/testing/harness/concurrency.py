"""Calls that are made at once, and what may come of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio

from conversation_kit.domain.errors import Conflict

T = TypeVar("T")


async def together(*calls: Callable[[], Awaitable[T]]) -> list[T | Exception]:
    """Make all calls at once and return what each returned or raised, in the order of the calls."""
    outcomes: list[Any] = [None] * len(calls)

    async def make(index: int, call: Callable[[], Awaitable[T]]) -> None:
        try:
            outcomes[index] = await call()
        except Exception as error:
            outcomes[index] = error

    async with anyio.create_task_group() as tasks:
        for index, call in enumerate(calls):
            tasks.start_soon(make, index, call)
    return outcomes


def failures(outcomes: Sequence[object]) -> list[Exception]:
    """Return the errors that ``together`` met."""
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]


def winner(outcomes: Sequence[object], noun: str) -> int:
    """Return the number of the only call that got the name; all others must have been told that it is taken."""
    lost = failures(outcomes)
    assert all(isinstance(error, Conflict) and error.code == f"{noun}:error:duplicate-name" for error in lost), lost
    assert len(lost) == len(outcomes) - 1, "exactly one wins"
    return next(number for number, outcome in enumerate(outcomes) if not isinstance(outcome, Exception))


@contextmanager
def during(what: str) -> Iterator[None]:
    """Say during what it was that the block failed."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"during {what}")
        raise
