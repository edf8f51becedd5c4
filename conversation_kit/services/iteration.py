"""All rows of a list, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from conversation_kit.domain.reading import Page, Slice

T = TypeVar("T")


async def every(fetch: Callable[[Page], Awaitable[Slice[T]]], page: Page) -> AsyncIterator[T]:
    """Yield the rows of a list from ``page`` on to its end, however many pages that takes.

    A page is read when it is needed, so one row of it may be missed for each earlier one that is removed meanwhile.
    Raises what ``fetch`` raises.
    """
    while True:
        found = await fetch(page)
        for row in found.items:
            yield row
        page = replace(page, index=page.index + len(found.items))
        if not found.items or page.index >= found.total:
            return
