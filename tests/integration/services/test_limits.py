"""What a user and an application may create in a time, for whoever calls the kit in process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from conversation_kit import ConfigurationError, CreateEvent, InvalidInput, Limits, MemoryMeter, Quotas, Rate, TooManyRequests
from conversation_kit.ports import Reading, Taking
from tests.support.limits import Time, limited
from tests.support.probes import counts
from tests.support.world import APP, OTHER, World, make_kit, open_world

pytestmark = pytest.mark.anyio

Act = Callable[[World, str], Awaitable[Any]]


async def say(world: World, who: str, text: str = "hello") -> None:
    await world.kit.as_user(who).events.create(world.conversation, "text", {"text": text})


async def type_on(world: World, who: str) -> None:
    await world.kit.as_user(who).events.create(world.conversation, "text:typing:on")


async def found(world: World, who: str) -> None:
    await world.kit.as_user(who).conversations.create()


async def invite(world: World, who: str) -> None:
    await world.kit.as_user(who).members.invite(world.conversation, user_name="dee", channel={"type": "phone", "number": "1"})


async def refused(act: Awaitable[None]) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as caught:
        await act
    return caught.value


@pytest.mark.parametrize(("noun", "act"), [("events", say), ("events", type_on), ("conversations", found)])
async def test_a_user_may_create_so_many_at_once_and_one_more_for_each_part_of_the_time(noun: str, act: Act) -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(**{noun: "3/minute"}))) as world:
        for _ in range(3):
            await act(world, "ana")
        error = await refused(act(world, "ana"))
        assert (error.code, error.retry_after) == ("http:error:too-many-requests", 20)
        await act(world, "max")
        time.now += 19.9
        await refused(act(world, "ana"))
        time.now += 0.1
        await act(world, "ana")
        await refused(act(world, "ana"))
        time.now += 3600
        for _ in range(3):
            await act(world, "ana")
        await refused(act(world, "ana"))


async def test_a_user_may_invite_so_many(anyio_backend: object) -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(invitations="2/hour"))) as world:  # ana has invited bo
        await invite(world, "ana")
        assert (await refused(invite(world, "ana"))).retry_after == 1800
        await world.kit.members.invite(world.conversation, user_name="dee")


async def test_what_is_refused_is_not_written_and_reaches_no_hook() -> None:
    time, seen = Time(), list[str]()
    async with open_world(**limited(time, per_user=Quotas(events="1/minute"))) as world:
        world.kit.before(CreateEvent)(lambda command, context: seen.append(command.type))
        await say(world, "ana")
        before = await world.types()
        await refused(say(world, "ana"))
        assert await world.types() == before
        assert seen == ["text"]


async def test_what_is_wrong_is_told_first_and_not_counted() -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(events="1/minute"))) as world:
        with pytest.raises(InvalidInput):
            await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": 7})
        await say(world, "ana")


async def test_bodies_count_by_their_bytes() -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(event_bytes=Rate(70_000, 70)))) as world:
        await say(world, "ana", "ü" * 30_000)  # 60,000 bytes and {"text":""}
        error = await refused(say(world, "ana", "x" * 10_000))
        assert error.retry_after == pytest.approx(0.022)
        assert "70000 per 70 seconds" in error.description
        await say(world, "ana", "x" * 9_900)


async def test_all_users_of_an_application_share_its_limit() -> None:
    time = Time()
    limits = limited(time, per_user=Quotas(events="2/minute"), per_application=Quotas(events="3/minute"))
    async with open_world(**limits) as world:
        await say(world, "ana")
        await say(world, "ana")
        await say(world, "max")
        error = await refused(say(world, "max"))
        assert error.description == "This application has had as many events as may be, 3 per minute: try again in 20 s."
        time.now += 20
        await say(world, "max")  # of whom nothing was taken when the application had no more
        await refused(say(world, "max"))


async def test_applications_are_counted_apart() -> None:
    time = Time()
    async with open_world(**limited(time, per_application=Quotas(conversations="1/hour"))) as world:
        await world.kit.application(OTHER).users.create("ana")
        for application in (APP, OTHER):
            await world.kit.as_user("ana", application_id=application).conversations.create()
            await refused(world.kit.as_user("ana", application_id=application).conversations.create())  # type: ignore[arg-type]


async def test_admins_and_the_host_are_not_counted() -> None:
    time = Time()
    one = Quotas(events="1/day", conversations="1/day", invitations="1/day", tickets="1/day", event_bytes="65536/day")
    async with open_world(**limited(time, per_user=one, per_application=one), populate=False) as world:
        for _ in range(3):
            room = await world.json("POST", "/conversations")
            made = await world.call("POST", f"/conversations/{room['id']}/tickets")
            assert (made.status_code, "ratelimit" in made.headers) == (201, False)
            await world.kit.conversations.create()
        assert len(time.meter) == 0


async def test_without_limits_there_is_nothing_that_counts() -> None:
    assert not counts(make_kit())
    assert not counts(make_kit(limits=Limits()))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="limits= takes Limits"):
        make_kit(limits=Quotas(events="1/second"))
    with pytest.raises(ConfigurationError, match="give both, or none"):
        make_kit(meter="storage")
    limits = Limits(per_user=Quotas(events="1/second"))
    for meter, told in (
        ("storage", "MemoryStorage is none"),
        ("gopher://there", "no installed adapter knows 'gopher://there'"),
        ("redis", "no installed adapter"),
        (MemoryMeter, "the method take"),
        (7, "the method take"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            make_kit(limits=limits, meter=meter)


async def test_a_meter_holds_so_many_keys_and_forgets_whom_it_has_not_seen_for_longest() -> None:
    time = Time()
    rate = Rate(2)

    async def take(name: str) -> Reading:
        return (await time.meter.take([Taking(APP, f"events:{name}", 1, rate)]))[0]

    for name in ("first", "busy", "first"):
        await take(name)
    for number in range(99_998):
        await take(str(number))
    await take("busy")
    assert len(time.meter) == 100_000
    await take("one more")
    assert len(time.meter) == 100_000
    assert (await take("busy")).is_enough is False, "who comes is remembered"
    assert (await take("first")).remaining == 1, "who was away for longest is forgotten"


async def test_setting_the_clock_back_locks_nobody_out() -> None:
    time = Time()
    meter = time.meter
    takings = [Taking(APP, "events:ana", 1, Rate(2))]
    await meter.take(takings)
    time.now -= 3600
    assert (await meter.take(takings))[0].is_enough
    assert (await meter.take(takings))[0].seconds == 30
    time.now += 30
    assert (await meter.take(takings))[0].is_enough


class Broken:
    """A meter whose server has gone, until it comes back."""

    def __init__(self) -> None:
        self.asked = 0
        self.inner: MemoryMeter | None = None

    async def take(self, takings: Sequence[Taking]) -> Sequence[Reading]:
        self.asked += 1
        if self.inner is None:
            raise ConnectionError("refused")
        return await self.inner.take(takings)


async def test_while_a_shared_meter_is_away_each_process_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken()
    async with open_world(limits=Limits(per_user=Quotas(events="2/day")), meter=broken) as world:
        await say(world, "ana")
        await say(world, "ana")
        await refused(say(world, "ana"))
        await say(world, "max")
    assert broken.asked == 1, "it is left alone for a while"
    assert len([record for record in caplog.records if "each process counts for itself" in record.getMessage()]) == 1


async def test_what_a_shared_meter_is_certain_to_refuse_it_is_not_asked_for() -> None:
    shared = Broken()
    shared.inner = MemoryMeter()
    async with open_world(limits=Limits(per_user=Quotas(events="2/day")), meter=shared) as world:
        await say(world, "ana")
        await say(world, "ana")
        asked = shared.asked
        for _ in range(10):
            await refused(say(world, "ana"))
        assert shared.asked == asked
