"""What is announced of a transaction of the host's: all of it once it is committed, and nothing else."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from conversation_kit import (
    ConversationCreated,
)
from conversation_kit_sql import SQLStorage
from tests.integration.transactions.host import Shop, begin_with
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio


class Oops(Exception):
    pass


async def test_the_receivers_have_run_when_a_block_ends_in_which_the_host_committed(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction:
        async with shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("tea")
            await transaction.commit()
        assert shop.rooms_announced == ["tea"]
        async with shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("one")
            await transaction.commit()
            await chat.conversations.create("two")
            await transaction.commit()
            await chat.conversations.create("three")
            await transaction.rollback()
        assert sorted(shop.rooms_announced) == ["one", "tea", "two"]
    await shop.nothing_announced(3)


async def test_a_savepoint_that_is_rolled_back_takes_its_signals_with_it(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction:
        async with shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("kept")
            with suppress(Oops):
                async with transaction.savepoint():
                    await chat.conversations.create("lost")
                    async with transaction.savepoint():
                        await chat.conversations.create("released and lost")
                    raise Oops
            async with transaction.savepoint():
                await chat.conversations.create("released")
                with suppress(Oops):
                    async with transaction.savepoint():
                        await chat.conversations.create("lost too")
                        raise Oops
            await transaction.commit()
        assert shop.rooms_announced == ["kept", "released"]
    assert sorted(await shop.rooms()) == ["kept", "released"]


async def test_a_savepoint_around_the_block_takes_its_signals_with_it(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction:
        await transaction.order("tea")
        with suppress(Oops):
            async with transaction.savepoint():
                async with shop.kit.using(transaction.session) as chat:
                    await chat.conversations.create("lost")
                raise Oops
        async with transaction.savepoint(), shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("kept")
        await transaction.commit()
    assert await shop.until(1) == ["ConversationCreated"]
    assert shop.rooms_announced == await shop.rooms() == ["kept"]


async def test_two_blocks_in_one_transaction_are_announced_in_order(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction:
        for number in range(5):
            async with shop.kit.using(transaction.session) as chat:
                await chat.conversations.create(str(number))
        await transaction.commit()
    await shop.until(5)
    assert shop.rooms_announced == ["0", "1", "2", "3", "4"]


async def test_a_receiver_that_fails_does_not_disturb_the_host(any_shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop = any_shop

    @shop.kit.on(ConversationCreated)
    async def fail(signal: ConversationCreated) -> None:
        raise Oops

    async with shop.transaction() as transaction:
        async with shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("tea")
        await transaction.commit()
    assert await shop.until(1) == ["ConversationCreated"]
    assert await shop.rooms() == ["tea"]


async def test_a_receiver_may_use_the_kit_at_once(any_shop: Shop) -> None:
    shop = any_shop

    @shop.kit.on(ConversationCreated)
    async def welcome(signal: ConversationCreated) -> None:
        await shop.kit.events.create(signal.conversation.id, "custom:welcome")

    async with shop.transaction() as transaction:
        async with shop.kit.using(transaction.session) as chat:
            room = await chat.conversations.create("tea")
            await transaction.commit()
        assert [event.type for event in await shop.kit.events.list(room.id)] == ["custom:welcome"]


async def test_the_commit_may_happen_in_another_thread(shop: Shop) -> None:
    with Session(shop.engine) as session:
        async with shop.kit.using(session) as chat:
            await chat.conversations.create("tea")
            await anyio.to_thread.run_sync(session.commit)
        assert shop.rooms_announced == ["tea"]
        async with shop.kit.using(session) as chat:
            await chat.conversations.create("coffee")
        await anyio.to_thread.run_sync(session.commit)
        await shop.until(2)


async def test_a_connection_that_begins_its_next_transaction_has_committed(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        async with shop.kit.using(connection) as chat:
            await chat.conversations.create("tea")
        connection.commit()
        connection.execute(text("SELECT 1"))
        await shop.until(1)
        connection.rollback()
    assert shop.rooms_announced == ["tea"]


async def test_a_session_in_a_transaction_of_its_connection_has_committed_nothing_yet(shop: Shop) -> None:
    if shop.engine.dialect.name == "sqlite":
        begin_with(shop.engine, "BEGIN IMMEDIATE")
    with shop.engine.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            async with shop.kit.using(session) as chat:
                await chat.conversations.create("tea")
                session.commit()
        outer.rollback()
    assert await shop.rooms() == []
    await shop.nothing_announced()


async def test_a_commit_that_fails_announces_nothing(any_shop: Shop) -> None:
    shop = any_shop

    class CommitFailed(shop.engine.dialect.loaded_dbapi.Error):  # type: ignore[name-defined,misc]
        pass

    def fail(connection: Any) -> None:
        connection.rollback()
        raise CommitFailed("the disk is full")

    async with shop.transaction() as transaction:
        dialect = transaction.engine.dialect
        async with shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("tea")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(dialect, "do_commit", fail)
                with pytest.raises(Exception, match="the disk is full"):
                    await transaction.commit()
    assert await shop.rooms() == []
    await shop.nothing_announced()


def test_a_commit_after_the_event_loop_has_ended_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/chat.db")
    session = Session(engine)

    async def place_order() -> None:
        kit = make_kit(SQLStorage(engine))
        kit.on(ConversationCreated)(print)
        async with kit.lifespan(), kit.using(session) as chat:
            await chat.conversations.create("tea")

    for backend in ("asyncio", "trio"):
        anyio.run(place_order, backend=backend)
        session.commit()
        with session.connection() as connection:
            connection.execute(text("DELETE FROM conversation_kit_conversation"))
            connection.commit()
        session.close()
    for thread in threading.enumerate():
        if thread.name == "conversation-kit signals":
            thread.join(30)
    assert caplog.text.count("1 signals of a committed transaction could not be announced") == 2
    engine.dispose()
