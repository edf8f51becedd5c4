"""Which meter a kit gets, and what a kit does while a meter's server is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from conversation_kit import (
    ConfigurationError,
    Limits,
    MemoryMeter,
    MemoryStorage,
    Quotas,
    Rate,
    Reading,
    StorageUnavailable,
    Taking,
    TooManyRequests,
)
from conversation_kit.meters import shared
from conversation_kit.meters.factory import StorageMeter, make_meter
from conversation_kit.ports import Storage
from conversation_kit_redis import RedisMeter
from conversation_kit_sql import SQLStorage
from tests.support import brokers
from tests.support.probes import behind
from tests.support.world import open_world

pytestmark = pytest.mark.anyio

TAKINGS = [Taking("app", "events:ana", 1, Rate(100, 86_400))]


async def unopened() -> Storage:
    raise AssertionError("nobody asks for it")


def made(source: Any, storage: Storage | None = None) -> Any:
    return make_meter(source, storage or MemoryStorage(), unopened)


def test_the_name_of_a_meter_says_which_one_it_is() -> None:
    assert isinstance(made(None), MemoryMeter)
    assert isinstance(behind(made("storage", SQLStorage("sqlite://"))), StorageMeter)
    for scheme in ("redis", "rediss", "valkey", "valkeys"):
        assert isinstance(behind(made(f"{scheme}://localhost")), RedisMeter)
    own = MemoryMeter()
    assert made(own) is own


def test_a_url_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="The meter's URL cannot be used"):
        made("redis://localhost:no")


@asynccontextmanager
async def redis(url: str, prefix: str) -> AsyncIterator[RedisMeter]:
    meter = RedisMeter(url, prefix=prefix)
    try:
        yield meter
    finally:
        with anyio.CancelScope(shield=True):
            await meter.close()


async def test_a_connection_that_was_cut_while_nobody_used_it_is_made_again() -> None:
    with brokers.behind_proxy("redis") as (url, proxy):
        async with redis(url, brokers.new_channel()) as meter:
            for number in range(1, 4):
                assert (await meter.take(TAKINGS))[0].remaining == 100 - number
                proxy.down()
                proxy.up()


async def test_without_its_server_a_meter_raises_and_goes_on_when_it_is_there() -> None:
    with brokers.behind_proxy("redis") as (url, proxy), anyio.fail_after(60):
        async with redis(url, brokers.new_channel()) as meter:
            proxy.down()
            for _ in range(3):
                with pytest.raises(Exception, match=r".") as caught:
                    await meter.take(TAKINGS)
                assert not isinstance(caught.value, TimeoutError)
            proxy.up()
            assert (await meter.take(TAKINGS))[0].remaining == 99


async def test_a_kit_goes_on_without_its_meter_and_with_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "AWAY_SECONDS", 0.0)
    with brokers.behind_proxy("redis") as (url, proxy), anyio.fail_after(60):
        limits = Limits(per_user=Quotas(events="5/day"))
        async with redis(url, brokers.new_channel()) as meter, open_world(limits=limits, meter=meter) as world:
            ana = world.kit.as_user("ana").events
            await ana.create(world.conversation, "text", {"text": "counted there"})
            proxy.down()
            for _ in range(3):
                await ana.create(world.conversation, "text", {"text": "counted here"})
            proxy.up()
            await ana.create(world.conversation, "text", {"text": "counted there"})
            assert (await meter.take([Taking("app-1", "events:ana", 0, Rate(5, 86_400))]))[0].remaining == 3


async def test_a_meter_in_the_storage_counts_for_every_kit_on_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {"limits": Limits(per_user=Quotas(events="5/day")), "meter": "storage"}
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(storage=url, **options) as world, open_world(storage=url, populate=False, **options) as other:
        said = 0
        for kit in [world.kit, other.kit] * 5:
            with suppress(TooManyRequests):
                await kit.as_user("ana").events.create(world.conversation, "text", {"text": "hello"})
                said += 1
        assert said == 5


async def test_a_storage_that_is_away_is_told_as_such_and_asked_again() -> None:
    class Away:
        asked = 0

        async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
            self.asked += 1
            raise StorageUnavailable("down")

    away = Away()
    async with open_world(limits=Limits(per_user=Quotas(events="5/day")), meter=away) as world:
        for _ in range(2):
            answer = await world.call("POST", f"{world.path}/events", "ana", json={"type": "text", "body": {"text": "hello"}})
            assert (answer.status_code, answer.json()["code"]) == (503, "system:error:unavailable")
    assert away.asked == 2
