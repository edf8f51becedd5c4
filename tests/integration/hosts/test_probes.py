"""Probes: a process that answers, and a storage that does."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from conversation_kit import MemoryStorage, StorageUnavailable
from conversation_kit.http.pages import probes
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


class Moody(MemoryStorage):
    """A storage that can be away, or not answer at all."""

    mood = "well"
    asked = 0

    async def get_user(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        if self.mood == "away":
            raise StorageUnavailable("The server with the password hunter2 is away.")
        if self.mood == "silent":
            await anyio.sleep_forever()
        return await super().get_user(*args, **kwargs)


async def ask(world: World, path: str = "/ready") -> tuple[int, Any]:
    response = await world.call("GET", path, None)
    return response.status_code, response.json()


async def test_health_answers_without_the_storage() -> None:
    storage = Moody()
    async with open_world(storage=storage, populate=False) as world:
        storage.mood, storage.asked = "away", 0
        assert await ask(world, "/health") == (200, {"status": "ok"})
        assert storage.asked == 0
        head = await world.call("HEAD", "/health", None)
        assert (head.status_code, head.content) == (200, b"")


async def test_ready_says_whether_the_storage_answers_and_nothing_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probes, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(probes, "LONGEST_SECONDS", 0.01)
    storage = Moody()
    async with open_world(storage=storage, populate=False) as world:
        assert await ask(world) == (200, {"status": "ready"})
        for mood in ("away", "silent"):
            storage.mood = mood
            with caplog.at_level(logging.ERROR), anyio.fail_after(30):
                response = await world.call("GET", "/ready", None)
            assert (response.status_code, response.json()) == (503, {"status": "unavailable"})
            assert response.headers["retry-after"] == "1"
            assert "not ready" in caplog.text
        storage.mood = "well"
        assert await ask(world) == (200, {"status": "ready"})


async def test_the_storage_is_asked_once_by_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRESH_SECONDS", 3600.0)
    storage = Moody()
    async with open_world(storage=storage, populate=False) as world:
        before = storage.asked
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask, world)
        assert await ask(world) == (200, {"status": "ready"})
        assert storage.asked == before + 1


async def test_probes_are_there_without_the_pages() -> None:
    async with open_world(docs=False, populate=False) as world:
        assert (await world.call("GET", "/openapi.json", None)).status_code == 404
        assert (await ask(world, "/health"))[0] == (await ask(world))[0] == 200
        assert (await world.call("POST", "/ready", None)).status_code == 404
