"""Everything that the docstring of ``ports.Meter`` promises, as tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from conversation_kit.domain.values.limits import Rate
from conversation_kit.ports import Connected, Meter, Reading, Taking

SLOW = Rate(100, 86_400)
"""A rate by which nothing comes back while a test runs."""


def taking(key: str = "events:ana", amount: int = 1, rate: Rate = SLOW, application_id: str = "app") -> Taking:
    """Return a wish for so much."""
    return Taking(application_id, key, amount, rate)


class MeterContract:
    """Inherit, override ``open_meter``, and pytest runs the suite on your meter."""

    pytestmark = pytest.mark.anyio

    time_limit = 60.0
    """Seconds that one test may take, so that a deadlock is a failure."""

    @asynccontextmanager
    async def open_meter(self) -> AsyncIterator[Meter]:
        """Open one more meter, as another process would, on the same levels as all others of this test and no other test's."""
        raise NotImplementedError("override open_meter")
        yield

    @asynccontextmanager
    async def meters(self, count: int = 1) -> AsyncIterator[Sequence[Meter]]:
        """Open so many of them."""
        with anyio.fail_after(self.time_limit):
            async with AsyncExitStack() as stack:
                opened = [await stack.enter_async_context(self.open_meter()) for _ in range(count)]
                try:
                    yield opened
                finally:
                    with anyio.CancelScope(shield=True):
                        for meter in opened:
                            if isinstance(meter, Connected):
                                await meter.close()

    async def test_so_much_as_the_rate_has_is_there_at_once_and_no_more(self) -> None:
        async with self.meters() as (meter,):
            for number in range(1, 101):
                (reading,) = await meter.take([taking()])
                assert (reading.is_enough, reading.remaining) == (True, 100 - number)
            (reading,) = await meter.take([taking()])
            assert (reading.is_enough, reading.remaining) == (False, 0)
            assert 0 < reading.seconds <= 864

    async def test_several_processes_share_what_there_is(self) -> None:
        async with self.meters(4) as meters:
            for number in range(100):
                assert (await meters[number % 4].take([taking()]))[0].is_enough
            for meter in meters:
                assert not (await meter.take([taking()]))[0].is_enough

    async def test_of_many_that_come_at_once_no_more_get_it_than_there_is(self) -> None:
        taken: list[bool] = []

        async def flood(meter: Meter) -> None:
            for _ in range(15):
                taken.append((await meter.take([taking()]))[0].is_enough)

        async with self.meters(3) as meters, anyio.create_task_group() as group:
            for meter in meters:
                for _ in range(4):
                    group.start_soon(flood, meter)
        assert (len(taken), sum(taken)) == (180, 100)

    async def test_larger_amounts_count_as_what_they_are(self) -> None:
        rate = Rate(10**9, 86_400)
        async with self.meters() as (meter,):
            (reading,) = await meter.take([taking(amount=10**9 - 65_536, rate=rate)])
            assert reading.is_enough
            assert not (await meter.take([taking(amount=10**8, rate=rate)]))[0].is_enough
            (reading,) = await meter.take([taking(amount=65_536, rate=rate)])
            assert reading.is_enough
            (reading,) = await meter.take([taking(amount=10**9 + 1, rate=rate)])
            assert not reading.is_enough, "more than there ever is"

    async def test_all_is_taken_or_nothing(self) -> None:
        async with self.meters() as (meter,):
            await meter.take([taking("events", 99)])
            readings = await meter.take([taking("events:ana", 40), taking("events", 2)])
            assert [(reading.is_enough, reading.remaining) for reading in readings] == [(True, 100), (False, 1)]
            readings = await meter.take([taking("events:ana", 100), taking("events", 1)])
            assert [(reading.is_enough, reading.remaining) for reading in readings] == [(True, 0), (True, 0)]

    async def test_keys_and_applications_have_nothing_to_do_with_each_other(self) -> None:
        names = ["ana", "Ana", "ana ", "änä", "☎ {x}", "a" * 255, "ü" * 255, "a:b", "a'b\"", "%s", "*"]
        async with self.meters(2) as (one, other):
            for application_id in ("app", "App", "ü" * 200):
                for name in names:
                    wish = taking(f"events:{name}", 100, application_id=application_id)
                    assert (await one.take([wish]))[0].is_enough, wish
                    assert not (await other.take([taking(wish.key, application_id=application_id)]))[0].is_enough, wish

    async def test_what_was_used_comes_back(self) -> None:
        rate = Rate(2, 1)

        async def wait_for_one(meter: Meter) -> Reading:
            while not (reading := (await meter.take([taking(rate=rate)]))[0]).is_enough:
                assert 0 < reading.seconds <= 0.5
                await anyio.sleep(reading.seconds)
            return reading

        async with self.meters() as (meter,):
            for _ in range(6):
                await wait_for_one(meter)

    async def test_who_goes_away_leaves_the_others_as_they_were(self) -> None:
        async with self.meters() as (meter,):
            for _ in range(5):
                async with anyio.create_task_group() as group:
                    group.start_soon(meter.take, [taking()])
                    group.cancel_scope.cancel()
            (reading,) = await meter.take([taking()])
            assert reading.is_enough
            assert 94 <= reading.remaining <= 99

    async def test_after_closing_it_can_be_used_again(self) -> None:
        async with self.meters() as (meter,):
            await meter.take([taking(amount=99)])
            if isinstance(meter, Connected):
                await meter.close()
            assert (await meter.take([taking()]))[0].remaining == 0
