"""Live events in process: from any position, each once and in order, with the rights of who listens."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from conversation_kit import (
    AccessRequest,
    BrokerMessage,
    ConfigurationError,
    ConversationKit,
    Forbidden,
    InvalidInput,
    LogAdvanced,
    MemoryBroker,
    MemoryStorage,
    NotFound,
    Signal,
    StorageUnavailable,
    StreamEnded,
)
from conversation_kit.live import buffer, dispatcher, log_reader
from tests.integration.live.taking import ids, take
from tests.support.probes import bus_of, size_of_waiting, until_heard, waiting_in
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not announced is not found."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets to reading late on a busy machine is not slow."""
    monkeypatch.setattr(buffer, "PATIENCE", 3600)


async def test_events_come_from_the_log_and_then_live() -> None:
    async with open_world() as world, world.kit.subscribe(world.conversation, after=3) as events:
        assert ids(await take(events, 2)) == [4, 5]
        await world.say("hello")
        (event,) = await take(events, 1)
        assert (event.id, event.body) == (6, {"text": "hello"})


async def test_without_a_position_only_what_comes_is_delivered() -> None:
    async with open_world() as world, world.kit.as_user("max").subscribe(world.conversation) as events:
        await world.say()
        assert ids(await take(events, 1)) == [6]


@pytest.mark.parametrize("after", [6, 2**53, 2**60, -1, True, "3", 1.0])
async def test_a_position_that_the_log_does_not_have_is_refused(after: Any) -> None:
    async with open_world() as world:
        with pytest.raises(InvalidInput) as refused:
            async with world.kit.subscribe(world.conversation, after=after):
                pass
        assert refused.value.code == "event:error:invalid-cursor"
        assert not world.kit.stats().event_loops


async def test_who_may_not_read_may_not_listen() -> None:
    async with open_world() as world:
        for name, error in (("bo", Forbidden), ("cy", NotFound), ("dee", NotFound)):
            with pytest.raises(error):
                async with world.kit.as_user(name).subscribe(world.conversation):
                    pass
        assert not world.kit.stats().event_loops


async def test_what_the_body_raises_comes_out_as_it_is() -> None:
    async with open_world() as world:
        with pytest.raises(ZeroDivisionError):
            await fail(world)
        with anyio.move_on_after(0.01) as scope:
            async with world.kit.subscribe(world.conversation) as events:
                await anext(events)
        assert scope.cancelled_caught
        assert not world.kit.stats().event_loops


async def fail(world: World) -> None:
    async with world.kit.subscribe(world.conversation) as events:
        await world.say()
        async for event in events:
            assert event.id
            raise ZeroDivisionError


async def test_access_that_ends_raises_and_a_stop_just_ends_the_loop() -> None:
    async with open_world() as world:
        async with world.kit.as_user("max").subscribe(world.conversation) as events:
            await world.kit.members.remove(world.conversation, world.members["max"])
            assert [event.type for event in await take(events, 1)] == ["member:left"]
            with pytest.raises(StreamEnded) as ended:
                await take(events, 1)
            assert ended.value.code == "conversation:error:not-found"
        got = []
        async with anyio.create_task_group() as group:

            async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
                async with world.kit.subscribe(world.conversation, after=0) as events:
                    task_status.started()
                    got.extend([event.id async for event in events])

            await group.start(listen)
            await world.kit.stop()
        assert got == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("patient")
async def test_announcements_out_of_order_doubled_and_lost_cost_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        live = bus_of(world.kit)
        publish = live.publish
        late: list[Signal] = []
        chance = random.Random(4)

        def unreliable(signals: list[Signal]) -> None:
            for signal in signals:
                late.extend([signal] * chance.choice((0, 1, 1, 2)))
            while late and chance.random() < 0.7:
                publish([late.pop(chance.randrange(len(late)))])

        monkeypatch.setattr(live, "publish", unreliable)
        async with world.kit.subscribe(world.conversation, after=5) as one, world.kit.as_user("max").subscribe(world.conversation) as other:
            for number in range(150):
                await world.say(str(number))
            wanted = list(range(6, 156))
            assert ids(await take(one, 150)) == wanted
            assert ids(await take(other, 150)) == wanted


@pytest.mark.usefixtures("no_poll")
async def test_who_has_read_an_event_before_it_is_announced_does_not_get_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world, world.kit.subscribe(world.conversation) as first:
        live = bus_of(world.kit)
        late: list[Signal] = []
        with monkeypatch.context() as unannounced:
            unannounced.setattr(live, "publish", late.extend)
            for _ in range(2):
                await world.say()
        async with world.kit.subscribe(world.conversation, after=5) as second:
            assert ids(await take(second, 2)) == [6, 7]
            live.publish(late)
            await world.say()
            assert ids(await take(second, 1)) == [8]
            assert ids(await take(first, 3)) == [6, 7, 8]


async def test_what_another_process_commits_is_found_within_a_second(tmp_path: Path) -> None:
    assert dispatcher.POLL_SECONDS + dispatcher.TICK_SECONDS <= 1
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with open_world(make_kit(url)) as world, open_world(make_kit(url), populate=False) as elsewhere:
        async with world.kit.as_user("max").subscribe(world.conversation) as events:
            await elsewhere.kit.events.create(world.conversation, "text", {"text": "hello"})
            assert ids(await take(events, 1)) == [6]
            await elsewhere.kit.members.remove(world.conversation, world.members["max"])
            with pytest.raises(StreamEnded):
                await take(events, 2)
        async with world.kit.subscribe(world.conversation) as events:
            await elsewhere.kit.conversations.delete(world.conversation)
            with pytest.raises(StreamEnded) as ended:
                await take(events, 1)
            assert ended.value.code == "conversation:error:not-found"


@pytest.mark.usefixtures("no_poll")
async def test_a_broker_lets_others_know_at_once(tmp_path: Path) -> None:
    url, broker = f"sqlite:///{tmp_path / 'chat.db'}", MemoryBroker()
    async with (
        open_world(make_kit(url, broker=broker)) as world,
        open_world(make_kit(url, broker=broker), populate=False) as elsewhere,
        world.kit.subscribe(world.conversation) as events,
    ):
        await anyio.wait_all_tasks_blocked()
        for number in range(3):
            await elsewhere.kit.events.create(world.conversation, "text", {"text": str(number)})
            assert ids(await take(events, 1)) == [6 + number]
        broker.tell(
            [
                LogAdvanced("app-1", "CON-unknown", 7),
                LogAdvanced("app-2", world.conversation, 7),
                LogAdvanced("app-1", world.conversation, 99),
            ]
        )
        await world.say()
        assert ids(await take(events, 1)) == [9]


async def test_a_storage_or_an_authorize_that_fails_for_a_while_costs_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "RETRY_SECONDS", 0.01)
    failures: list[Exception] = [StorageUnavailable("later"), RuntimeError("the host's own")]

    def authorize(request: AccessRequest) -> None:
        if request.action == "events.list" and request.principal.user_name == "max" and armed and failures:
            raise failures.pop()

    armed = False
    async with open_world(make_kit(authorize=authorize)) as world:
        async with world.kit.as_user("max").subscribe(world.conversation, after=0) as events:
            assert ids(await take(events, 5)) == [1, 2, 3, 4, 5]
            armed = True
            await world.say()
            assert ids(await take(events, 1)) == [6]
        assert failures == []


@pytest.mark.usefixtures("no_poll")
async def test_typing_reaches_the_subscribers_of_other_processes_too_once() -> None:
    broker = MemoryBroker()
    async with open_world(make_kit(broker=broker)) as world:
        other = make_kit(world.kit.storage, broker=broker)
        async with other.subscribe(world.conversation) as there, world.kit.subscribe(world.conversation) as here:
            await until_heard(broker, 2)
            for _ in range(2):
                await world.kit.as_user("ana").events.create(world.conversation, "text:typing:on", {"activity": 1})
            await world.say()
            for events in (here, there):
                assert [event.type for event in await take(events, 3)] == ["text:typing:on", "text:typing:on", "text"]


async def test_what_is_announced_does_not_wait_for_a_look_at_all_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 0.0)
    monkeypatch.setattr("conversation_kit.live.dispatcher.READ_SECONDS", 3600)
    looks = anyio.Event()

    async def hang(*arguments: object) -> None:
        looks.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(MemoryStorage, "sequence_numbers", hang)
    broker = MemoryBroker()
    async with open_world(make_kit(broker=broker)) as world:
        other = make_kit(world.kit.storage, broker=broker)
        async with other.subscribe(world.conversation) as events:
            with anyio.fail_after(30):
                await looks.wait()
            await world.say()
            assert ids(await take(events, 1)) == [6]


class BrokenBroker:
    """Raises whatever it is asked to do, and counts how often."""

    def __init__(self) -> None:
        self.told = 0
        self.asked = 0
        self.asked_again = anyio.Event()

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        self.told += 1
        raise OSError("no broker here")

    async def listen(self, heard: Callable[[BrokerMessage], None]) -> None:
        self.asked += 1
        if self.asked > 1:
            self.asked_again.set()
        raise OSError("no broker here")


async def test_a_broker_that_fails_costs_no_event(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("conversation_kit.live.dispatcher.LISTEN_AGAIN_SECONDS", 0.01)
    broker = BrokenBroker()
    async with open_world(make_kit(broker=broker)) as world, world.kit.subscribe(world.conversation) as events:
        await world.say()
        assert ids(await take(events, 1)) == [6]
        with anyio.fail_after(30):
            await broker.asked_again.wait()
    assert broker.told == 6
    assert all(record.levelname == "WARNING" and not record.exc_info for record in caplog.records)


async def test_events_of_a_hosts_transaction_arrive_after_its_commit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with open_world(make_kit(url)) as world, world.kit.subscribe(world.conversation) as events:
        engine = create_engine(url)
        with Session(engine) as session:
            async with world.kit.using(session) as chat:
                for text in ("one", "two"):
                    await chat.events.create(world.conversation, "text", {"text": text})
                with pytest.raises(ConfigurationError):
                    chat.subscribe(world.conversation)
                with anyio.move_on_after(0.05):
                    raise AssertionError(await anext(events))
                session.commit()
            async with world.kit.using(session) as chat:
                await chat.events.create(world.conversation, "text", {"text": "never"})
                session.rollback()
        engine.dispose()
        await world.say("three")
        assert [event.body["text"] for event in await take(events, 3)] == ["one", "two", "three"]


async def test_one_that_takes_nothing_is_dropped_when_too_much_waits_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    async with open_world() as world, world.kit.subscribe(world.conversation) as slow, world.kit.subscribe(world.conversation) as quick:
        for number in range(buffer.MAX_EVENTS):
            await world.say(str(number))
        assert len(await take(quick, 64)) == 64
        assert len(waiting_in(slow)) == buffer.MAX_EVENTS
        now = 2.0
        await world.say("one too many")
        assert len(waiting_in(slow)) == 0
        with pytest.raises(StreamEnded) as ended:
            await take(slow, 1)
        assert ended.value.code == "stream:error:too-slow"
        assert len(await take(quick, 1)) == 1


async def test_what_is_replayed_may_wait_however_long_and_much_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    async with open_world() as world:
        for number in range(80):
            await world.say(str(number))
        async with world.kit.subscribe(world.conversation, after=0) as events:
            await world.say()
            now = 2000.0
            await world.say()
            assert ids(await take(events, 87)) == list(range(1, 88))


@pytest.mark.usefixtures("patient")
async def test_text_is_counted_too_and_a_burst_is_read_from_the_log() -> None:
    async with open_world() as world, world.kit.subscribe(world.conversation) as events:
        for _ in range(10):
            await world.say("x" * 60_000)
        assert size_of_waiting(events) == 0
        assert ids(await take(events, 10)) == list(range(6, 16))
        await world.say()
        assert ids(await take(events, 1)) == [16]


async def test_random_cuts_lose_and_double_nothing() -> None:
    async with open_world() as world:
        chance = random.Random(11)
        got: list[int] = [5]

        async def write() -> None:
            for number in range(400):
                await world.kit.events.create(world.conversation, "text", {"text": str(number)})
                if chance.random() < 0.5:
                    await checkpoint()

        async def listen() -> None:
            while got[-1] != 405:
                async with world.kit.subscribe(world.conversation, after=got[-1]) as events:
                    for event in await take(events, min(chance.randrange(40), 405 - got[-1])):
                        assert event.id is not None
                        got.append(event.id)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(write)
                group.start_soon(listen)
        assert got == list(range(5, 406))
        assert not world.kit.stats().event_loops


async def test_the_log_is_read_on_when_the_one_whose_task_did_it_goes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with open_world(make_kit(url)) as world, open_world(make_kit(url), populate=False) as elsewhere:
        go = anyio.Event()

        async def first(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            async with world.kit.subscribe(world.conversation):
                task_status.started()
                await go.wait()

        async with anyio.create_task_group() as group:
            await group.start(first)
            async with world.kit.subscribe(world.conversation) as second:
                go.set()
                await anyio.wait_all_tasks_blocked()
                await elsewhere.kit.events.create(world.conversation, "text", {"text": "hello"})
                assert ids(await take(second, 1)) == [6]


async def test_thousands_of_comings_and_goings_leave_nothing() -> None:
    async with open_world() as world:
        for _ in range(100):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(come_and_go, world)
        assert not world.kit.stats().event_loops


async def come_and_go(world: World) -> None:
    async with world.kit.subscribe(world.conversation):
        await checkpoint()


async def test_subscriptions_of_another_event_loop_are_left_to_it() -> None:
    async with open_world() as world, world.kit.subscribe(world.conversation) as events:
        kit: ConversationKit = world.kit

        def elsewhere(backend: str) -> None:
            anyio.run(kit.events.create, world.conversation, "text", {"text": backend}, backend=backend)

        for backend in ("asyncio", "trio"):
            await anyio.to_thread.run_sync(elsewhere, backend)
        assert [event.body["text"] for event in await take(events, 2)] == ["asyncio", "trio"]
