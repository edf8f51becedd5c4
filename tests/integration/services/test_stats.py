"""Numbers of what is open and waits, as an operator reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import create_engine

from conversation_kit import BrokerMessage, ConversationKit, EventCreated, HostAuthenticator, MemoryStorage, Stats
from conversation_kit_sql import SQLStorage
from tests.support.world import open_world

pytestmark = pytest.mark.anyio


async def test_a_kit_that_does_nothing_has_nothing_open() -> None:
    kit = ConversationKit(storage=MemoryStorage(), auth=HostAuthenticator(lambda scope: None))
    assert kit.stats() == Stats()
    async with kit.lifespan():
        assert kit.stats() == Stats()


async def test_listeners_count_while_they_listen_and_topics_once_however_many_follow_them() -> None:
    async with open_world() as world:
        host = world.kit.application("app-1")
        async with host.subscribe(world.conversation), host.subscribe(world.conversation):
            stats = world.kit.stats()
            assert (stats.listeners, stats.topics, stats.event_loops) == (2, 1, 1)
            assert stats.streams == 0, "nobody is connected"
        assert world.kit.stats() == Stats()


async def test_receivers_in_the_background_count_until_they_are_done() -> None:
    async with open_world() as world:
        go = anyio.Event()

        @world.kit.on(EventCreated, background=True)
        async def wait(signal: EventCreated) -> None:
            await go.wait()

        host = world.kit.application("app-1")
        await host.events.create(world.conversation, "custom:x", {})
        await host.events.create(world.conversation, "custom:x", {})
        assert world.kit.stats().background_jobs == 2
        go.set()
        with anyio.fail_after(30):
            while world.kit.stats().background_jobs:  # noqa: ASYNC110 (the end of a receiver tells nobody)
                await anyio.sleep(0.001)


async def test_writes_that_wait_for_the_database_are_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    kit = ConversationKit(storage=SQLStorage(url, busy_seconds=30), auth=HostAuthenticator(lambda scope: None), application_id="app")
    async with kit.lifespan():
        assert kit.stats().storage == {"reads": 0, "writes": 0}
        engine = create_engine(url)
        with engine.connect() as other, anyio.fail_after(30):
            other.exec_driver_sql("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(kit.conversations.create, f"room {number}")
                while kit.stats().storage["writes"] < 2:  # noqa: ASYNC110 (what the thread is at tells nobody)
                    await anyio.sleep(0.001)
                other.rollback()
        engine.dispose()
        assert kit.stats().storage == {"reads": 0, "writes": 0}


async def test_messages_that_a_broker_keeps_are_told() -> None:
    class Keeping:
        waiting = 0

        def tell(self, messages: Sequence[BrokerMessage]) -> None:
            self.waiting += len(messages)

        async def listen(self, heard: object) -> None:
            await anyio.sleep_forever()

    kit = ConversationKit(storage=MemoryStorage(), auth=HostAuthenticator(lambda scope: None), application_id="app", broker=Keeping())
    async with kit.lifespan():
        room = await kit.conversations.create("room")
        before = kit.stats().broker_messages
        await kit.events.create(room.id, "custom:x", {})
        assert kit.stats().broker_messages == before + 1


def test_numbers_can_be_asked_for_outside_of_an_event_loop_and_in_any_thread(tmp_path: Path) -> None:
    kit = ConversationKit(storage=f"sqlite:///{tmp_path / 'chat.db'}", auth=HostAuthenticator(lambda scope: None))
    found: list[Mapping[str, int]] = []
    done = Event()

    def ask() -> None:
        found.append(kit.stats().storage)
        done.set()

    Thread(target=ask).start()
    assert done.wait(30)
    assert found == [{"reads": 0, "writes": 0}]
