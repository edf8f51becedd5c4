"""A host that tells what there is in its process, so that a test sees from outside what is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from conversation_kit import ConversationKit

LIVE = ("conversation_kit.live.", "conversation_kit.http.", "conversation_kit.services.streams")
"""Modules whose objects live streams consist of."""


def make_watched(kit: ConversationKit) -> Any:
    """Starlette, with ``/watch`` beside the kit."""

    async def watch(request: Request) -> JSONResponse:
        gc.collect()
        own = asyncio.current_task()
        return JSONResponse(
            {
                "pid": os.getpid(),
                "streams": kit.stats().streams,
                "event_loops": kit.stats().event_loops,
                "tasks": Counter(_name(task) for task in asyncio.all_tasks() if task is not own),
                "files": len(os.listdir("/proc/self/fd")),
                "objects": Counter(type(thing).__qualname__ for thing in gc.get_objects() if str(type(thing).__module__).startswith(LIVE)),
            }
        )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with kit.lifespan(app):
            yield

    return Starlette(routes=[Route("/watch", watch), Mount("/beta", app=kit)], lifespan=lifespan)


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")


def resident(pid: int) -> int:
    """The bytes of memory that a process holds."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
