"""Live events across processes: a real broker lets them arrive at once, and a bad one costs time only."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from conversation_kit import BrokerMessage, ConversationKit, Event, Subscription
from conversation_kit.brokers import threaded as relays
from conversation_kit.brokers.threaded import ThreadedBroker
from tests.integration.live.taking import ids, take
from tests.support import brokers, databases
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio

EVENTS = int(os.environ.get("CONVERSATION_KIT_WEATHER_EVENTS", "150"))
"""How many events each writer appends while the broker misbehaves."""

ROOT = Path(__file__).parents[3]


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not announced is not found."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)


class Writer:
    """A process that appends; see ``tests.integration.live.writer``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def say(self, conversation_id: str, text: str) -> int:
        """Append a text, and return its id."""
        return await anyio.to_thread.run_sync(self._say, conversation_id, text)

    def _say(self, conversation_id: str, text: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{conversation_id} {text}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def writer(*arguments: str) -> Iterator[Writer]:
    command = [sys.executable, "-m", "tests.integration.live.writer", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield Writer(process)
            process.stdin.close()
            assert process.wait(30) == 0
        finally:
            process.kill()


@asynccontextmanager
async def hearing(world: World, teller: Callable[[], Awaitable[object]]) -> AsyncIterator[Subscription]:
    """A subscription from the beginning on, once the broker has begun to carry what ``teller`` has appended."""
    async with world.kit.subscribe(world.conversation, after=0) as events:
        await settle(events, teller)
        yield events


async def settle(events: Subscription, teller: Callable[[], Awaitable[object]]) -> None:
    """Append until it arrives although everything before was read, for nobody can know when a broker has begun to listen."""
    seconds = 0.5
    with anyio.fail_after(60):
        while True:
            with anyio.move_on_after(0.1):
                async for _ in events:
                    pass
            await teller()
            with anyio.move_on_after(seconds):
                await anext(events)
                return
            seconds *= 2  # on a busy machine it may be under way for longer


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
@pytest.mark.parametrize("kind", brokers.KINDS)
@pytest.mark.usefixtures("no_poll")
async def test_what_another_process_appends_arrives_by_the_broker_alone(kind: str, storage: str, tmp_path: Path) -> None:
    channel = brokers.new_channel()
    with databases.fresh(storage, tmp_path) as url:
        broker = brokers.make(kind, brokers.url_of(kind), channel)
        async with open_world(make_kit(url, broker=broker)) as world:
            with writer(url, kind, brokers.url_of(kind), channel) as other:
                async with hearing(world, lambda: other.say(world.conversation, "settle")) as events:
                    sent = []
                    for number in range(20):
                        sent.append(await other.say(world.conversation, str(number)))
                        got = [event async for event in until(events, sent[-1])]
                    assert got[-1].body == {"text": "19"}


async def until(events: Subscription, id: int) -> AsyncIterator[Event]:
    """The events up to this one."""
    with anyio.fail_after(30):
        async for event in events:
            yield event
            if event.id == id:
                return


@pytest.mark.parametrize("kind", brokers.KINDS)
@pytest.mark.usefixtures("no_poll")
async def test_what_a_host_commits_in_its_own_transaction_arrives_elsewhere(kind: str, tmp_path: Path) -> None:
    url, channel = f"sqlite:///{tmp_path}/chat.db", brokers.new_channel()
    here, there = (make_kit(url, broker=brokers.make(kind, brokers.url_of(kind), channel)) for _ in range(2))
    engine = create_engine(url)
    async with (
        open_world(here) as world,
        there.lifespan(),
        hearing(world, lambda: there.events.create(world.conversation, "text", {"text": "settle"})) as events,
    ):
        with Session(engine) as session:
            async with there.using(session) as chat:
                event = await chat.events.create(world.conversation, "text", {"text": "together"})
                session.commit()
        assert event.id is not None
        assert [event async for event in until(events, event.id)][-1].body == {"text": "together"}
    engine.dispose()


class BadBroker:
    """Between a kit and its broker: half of what is told gets lost, half comes twice, and all of it comes late, so in any order."""

    def __init__(self, broker: ThreadedBroker, seed: int, seconds: float) -> None:
        self._broker = broker
        self._random = random.Random(seed)
        self._seconds = seconds
        self.lost = self.doubled = 0

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        self._broker.tell(messages)

    async def listen(self, heard: Callable[[BrokerMessage], None]) -> None:
        async with anyio.create_task_group() as group:

            async def later(one: BrokerMessage) -> None:
                await anyio.sleep(self._random.uniform(0, self._seconds))
                heard(one)

            def hear(one: BrokerMessage) -> None:
                if self._random.random() < 0.5:
                    self.lost += 1
                    return
                group.start_soon(later, one)
                if self._random.random() < 0.5:
                    self.doubled += 1
                    group.start_soon(later, one)

            await self._broker.listen(hear)

    async def open(self) -> None:
        await self._broker.open()

    async def close(self) -> None:
        await self._broker.close()


async def listen(kit: ConversationKit, conversation_id: str, last_id: int, got: list[int]) -> None:
    """Collect ids up to the last one, beginning anew after random numbers of events."""
    chance = random.Random(conversation_id)
    with anyio.fail_after(60 + EVENTS / 10):
        while not got or got[-1] < last_id:
            cut = chance.randrange(20, 60)
            async with kit.subscribe(conversation_id, after=got[-1] if got else 0) as events:
                async for event in events:
                    assert event.id is not None
                    got.append(event.id)
                    cut -= 1
                    if event.id == last_id or cut == 0:
                        break


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
@pytest.mark.parametrize("kind", brokers.KINDS)
async def test_a_broker_that_loses_doubles_and_delays_costs_time_only(kind: str, storage: str, tmp_path: Path) -> None:
    channel = brokers.new_channel()

    def bad(seed: int) -> BadBroker:
        relay = brokers.make(kind, brokers.url_of(kind), channel)
        assert isinstance(relay, ThreadedBroker)
        return BadBroker(relay, seed, 1.0)

    with databases.fresh(storage, tmp_path) as url:
        listening = bad(7)
        kit = make_kit(url, broker=listening)
        writers = [make_kit(url, broker=bad(seed)) for seed in (1, 2)]
        async with AsyncExitStack() as stack:
            for one in (kit, *writers):
                await stack.enter_async_context(one.lifespan())
            rooms = [(await kit.conversations.create()).id for _ in range(3)]
            got: dict[str, list[list[int]]] = {room: [[], []] for room in rooms}
            each = EVENTS // 3 * len(writers)

            async def write(one: ConversationKit) -> None:
                for number in range(EVENTS // 3):
                    for room in rooms:
                        await one.events.create(room, "text", {"text": str(number)})

            async with anyio.create_task_group() as group:
                for room in rooms:
                    for ids in got[room]:
                        group.start_soon(listen, kit, room, each, ids)
                for one in writers:
                    group.start_soon(write, one)
        assert got == {room: [list(range(1, each + 1))] * 2 for room in rooms}, "missed, doubled, or out of order"
        assert listening.lost > 0
        assert listening.doubled > 0


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_a_broker_that_is_killed_and_started_again_costs_time_only(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, channel = f"sqlite:///{tmp_path}/chat.db", brokers.new_channel()
    with brokers.service(kind, tmp_path) as service:
        here, there = (make_kit(url, broker=brokers.make(kind, service.url, channel)) for _ in range(2))
        async with open_world(here) as world, there.lifespan():

            async def say(text: str) -> int:
                with anyio.fail_after(30):  # a writer does not wait for a broker
                    event = await there.events.create(world.conversation, "text", {"text": text})
                assert event.id is not None
                return event.id

            async with hearing(world, lambda: say("settle")) as events:
                got: list[Event] = []
                last = 0
                for kill in range(3):
                    for number in range(5):
                        last = await say(f"{kill} {number}")
                    service.kill()
                    last = await say(f"{kill} without")
                    got += [event async for event in until(events, last)]
                    service.start()
                first = got[0].id
                assert first is not None
                assert ids(got) == list(range(first, last + 1))
                # Then the broker is at work again, by itself.
                monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
                await settle(events, lambda: say("again"))


async def test_nothing_of_it_runs_when_nobody_listens_and_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "IDLE_SECONDS", 0.1)
    kit = make_kit(f"sqlite:///{tmp_path}/chat.db", broker=brokers.make("redis", brokers.url_of("redis"), brokers.new_channel()))

    def runs() -> bool:
        return any(thread.name == "conversation-kit-broker" for thread in threading.enumerate())

    async def ends() -> None:
        with anyio.fail_after(30):
            while runs():  # noqa: ASYNC110  (what it waits for happens in a thread)
                await anyio.sleep(0.01)

    room = (await kit.conversations.create()).id
    await kit.events.create(room, "text", {"text": "hello"})
    with anyio.fail_after(30):
        while not runs():  # on a busy machine it may be over already
            await kit.events.create(room, "text", {"text": "hello"})
    await ends()
    async with kit.subscribe(room, after=0) as events:
        await take(events, 1)
        await anyio.sleep(0.3)  # longer than it stays without anything to do
        assert runs()
    await ends()
    await kit.close()
