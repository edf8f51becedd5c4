"""Events as a subscription or a feed gives them."""

from __future__ import annotations

import anyio

from conversation_kit import (
    Event,
    Feed,
    Subscription,
)


def ids(events: list[Event]) -> list[int | None]:
    return [event.id for event in events]


async def take(events: Subscription | Feed, number: int) -> list[Event]:
    """The next events."""
    with anyio.fail_after(30):
        return [await anext(events) for _ in range(number)]
