"""Work that comes to its end whatever becomes of the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

R = TypeVar("R")

CARRIED_OUT = "The kit has carried out what it had begun: it is stored, and its receivers have run."


async def undisturbed(work: Callable[[], Awaitable[R]]) -> R:
    """Await ``work`` to its end, and return or raise what it does.

    A cancel scope of the caller that runs out meanwhile takes effect at the caller's next checkpoint, when it has the result. A task that
    asyncio itself cancels (``asyncio.wait_for``, ``task.cancel()``) is cancelled once the work is done, with a note that says so: such
    a cancellation comes only once, and would be lost if the result was returned instead.
    """
    results: list[R] = []
    errors: list[Exception] = []

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            try:
                results.append(await work())
            except Exception as error:
                errors.append(error)

    # Not in the caller's own task, since anyio shields from cancel scopes only.
    with anyio.CancelScope(shield=True):
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(run)
        except anyio.get_cancelled_exc_class() as error:
            if results:
                error.add_note(CARRIED_OUT)
            raise
    if errors:
        raise errors[0]
    return results[0]
