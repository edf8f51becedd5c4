"""The server's half of ASGI's lifespan, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from conversation_kit.http.serving.mounting import ASGIApp, Message


class Lifespan:
    """One lifespan of an application. ``error`` is what the application raised; ``ended`` is set when it returned or raised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._to_app, self._app_receives = anyio.create_memory_object_stream[Message](10)
        self._app_sends, self._from_app = anyio.create_memory_object_stream[Message](10)
        self.error: BaseException | None = None
        self.ended = anyio.Event()
        self.scope = anyio.CancelScope()

    async def run(self) -> None:
        """Run the application's side until it ends or ``scope`` is cancelled."""
        with self.scope, self._app_sends, self._app_receives:
            try:
                await self._app(
                    {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._app_receives.receive, self._app_sends.send
                )
            except Exception as error:
                self.error = error
            finally:
                self.ended.set()

    async def ask(self, what: str) -> dict[str, Any] | None:
        """Send ``lifespan.<what>`` and wait for the answer; ``None`` when the application ends without one."""
        with anyio.fail_after(30):
            await self._to_app.send({"type": f"lifespan.{what}"})
            try:
                return dict(await self._from_app.receive())
            except anyio.EndOfStream:
                return None

    def close(self) -> None:
        """End the application's side, whatever it is doing."""
        self.scope.cancel()
        self._to_app.close()
        self._from_app.close()


@asynccontextmanager
async def lifespan_of(app: ASGIApp) -> AsyncIterator[Lifespan]:
    """A lifespan that has begun, with nothing asked yet."""
    lifespan = Lifespan(app)
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.run)
        try:
            yield lifespan
        finally:
            lifespan.close()


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """An application that a server has started, and stops at the end of the block."""
    async with lifespan_of(app) as lifespan:
        assert await lifespan.ask("startup") == {"type": "lifespan.startup.complete"}
        yield
        assert await lifespan.ask("shutdown") == {"type": "lifespan.shutdown.complete"}
        with anyio.fail_after(30):
            await lifespan.ended.wait()
        assert lifespan.error is None
