"""A storage that is open, and a change that appends an event."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.scene import Changes, Scene
from conversation_kit.domain.values.times import now
from conversation_kit_sql import SQLStorage

APP = "app"


def appending(body: str = "x") -> Any:
    def decide(scene: Scene) -> Changes[int]:
        draft = Draft(scene, now())
        event = draft.append("custom:x", {"text": body})
        return draft.done(event.id or 0)

    return decide


@asynccontextmanager
async def opened(storage: SQLStorage) -> AsyncIterator[SQLStorage]:
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()
