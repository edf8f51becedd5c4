"""Bursts of ephemeral events: the newest arrive, after the number of those that do not."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from anyio.lowlevel import checkpoint

from conversation_kit import Event, Feed, Subscription
from conversation_kit.live import buffer
from conversation_kit.live.ephemeral_backlog import MISSED
from tests.integration.live.taking import ids, take
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

Listen = Callable[[World], AbstractAsyncContextManager[Subscription | Feed]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets to reading late on a busy machine is not slow."""
    monkeypatch.setattr(buffer, "PATIENCE", 3600)


@pytest.fixture(params=["conversation", "feed"])
def listen(request: pytest.FixtureRequest) -> Listen:
    if request.param == "feed":
        return lambda world: world.kit.as_user("max").feed()
    return lambda world: world.kit.as_user("max").subscribe(world.conversation)


async def send_ephemeral(world: World, number: int) -> None:
    await world.kit.as_user("ana").events.create(world.conversation, "ephemeral", {"number": number})


def accounted(events: list[Event]) -> int:
    """How many ephemeral events these are or tell of."""
    return sum(event.body["count"] if event.type == MISSED else 1 for event in events if event.id is None)


async def until_accounted(events: Subscription | Feed, count: int, stored: int = 0) -> list[Event]:
    """What arrives until so many ephemeral events are accounted for, and so many others have come."""
    got: list[Event] = []
    while accounted(got) < count or sum(event.id is not None for event in got) < stored:
        got += await take(events, 1)
    return got


@pytest.mark.parametrize("count", [1, 64, 65, 200, 1_000])
async def test_of_a_burst_the_newest_arrive_after_the_number_of_those_that_are_missed(listen: Listen, count: int) -> None:
    async with open_world() as world, listen(world) as events:
        for number in range(count):
            await send_ephemeral(world, number)
        got = await until_accounted(events, count)
        kept = [event.body["number"] for event in got if event.type == "ephemeral"]
        assert kept == list(range(count - len(kept), count))
        assert len(kept) == min(count, 64)
        told = [(event.id, event.conversation_id, event.body) for event in got if event.type == MISSED]
        assert told == ([(None, world.conversation, {"count": count - 64})] if count > 64 else [])
        await send_ephemeral(world, count)
        await world.say()
        assert [event.type for event in await take(events, 2)] == ["ephemeral", "text"]


async def test_a_burst_of_both_kinds_loses_nothing_of_the_log_and_accounts_for_the_rest(listen: Listen) -> None:
    async with open_world() as world, listen(world) as events:
        for number in range(300):
            await send_ephemeral(world, number)
            await world.say(str(number))
        got = await until_accounted(events, 300, 300)
        assert [id for id in ids(got) if id is not None] == list(range(6, 306))
        assert accounted(got) == 300
        assert got[-1].body == {"number": 299} or got[-1].id == 305


async def test_who_reads_the_log_meanwhile_gets_what_is_passed_on_afterwards() -> None:
    async with open_world() as world:
        for number in range(250):
            await world.say(str(number))
        async with world.kit.subscribe(world.conversation, after=0) as events:
            for number in range(100):
                await send_ephemeral(world, number)
            got = await until_accounted(events, 100, 255)
            assert ids(got)[:255] == list(range(1, 256))
            assert accounted(got) == 100


async def test_who_leaves_meanwhile_gets_nothing_of_it(listen: Listen) -> None:
    async with open_world() as world, listen(world) as events:
        for number in range(100):
            await send_ephemeral(world, number)
        await world.kit.members.remove(world.conversation, world.members["max"])
        await send_ephemeral(world, 100)
        got: list[Event] = []
        while not got or got[-1].type not in ("member:left", "conversation:removed"):
            got += await take(events, 1)
        assert 100 not in [event.body.get("number") for event in got]


async def test_random_bursts_are_accounted_for(listen: Listen) -> None:
    chance = random.Random(7)
    async with open_world() as world, listen(world) as events:
        sent = stored = 0
        got: list[Event] = []
        for _ in range(60):
            for _ in range(chance.randrange(90)):
                if chance.random() < 0.3:
                    await world.say()
                    stored += 1
                else:
                    await send_ephemeral(world, sent)
                    sent += 1
            if chance.random() < 0.5:
                await checkpoint()
            for _ in range(chance.randrange(20)):
                if accounted(got) < sent or sum(event.id is not None for event in got) < stored:
                    got += await take(events, 1)
        while accounted(got) < sent or sum(event.id is not None for event in got) < stored:
            got += await take(events, 1)
        assert accounted(got) == sent
        assert [id for id in ids(got) if id is not None] == list(range(6, 6 + stored))
        numbers = [event.body["number"] for event in got if event.type == "ephemeral"]
        assert numbers == sorted(set(numbers))
