"""The kit inside a transaction of the host's: one commit, or none, for what both write."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from conversation_kit import (
    ConfigurationError,
    Conflict,
    Context,
    ConversationCreated,
    ConversationKit,
    CreateConversation,
    EventCreated,
    HostAuthenticator,
    NotFound,
    Rejected,
)
from conversation_kit.domain.reading import EventRange
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.schema.tables import make_tables
from tests.integration.transactions.host import Shop, open_shop
from tests.support.world import APP, OTHER, open_world

pytestmark = pytest.mark.anyio


class Oops(Exception):
    pass


async def test_what_both_wrote_is_committed_together(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction:
        async with shop.kit.using(transaction.session) as chat:
            await transaction.order("tea")
            room = await chat.conversations.create("tea")
            await chat.users.create("ana")
            await chat.members.join(room.id, user_name="ana")
            await chat.as_user("ana").events.create(room.id, "text", {"text": "Where is it?"})
            assert [event.type for event in await chat.events.list(room.id)] == ["member:joined", "text"]
        assert (shop.stored(), await shop.rooms(), shop.seen) == (0, [], [])
        await transaction.commit()
    assert await shop.until(5) == ["ConversationCreated", "UserCreated", "EventCreated", "MemberJoined", "EventCreated"]
    assert (shop.stored(), await shop.rooms()) == (1, ["tea"])
    assert [event.id for event in await shop.kit.events.list(room.id)] == [1, 2]


async def test_what_both_wrote_is_rolled_back_together(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction:
        async with shop.kit.using(transaction.session) as chat:
            await transaction.order("tea")
            await chat.conversations.create("tea")
        await transaction.rollback()
        assert (shop.stored(), await shop.rooms()) == (0, [])
        async with shop.kit.using(transaction.session) as chat:
            await chat.conversations.create("coffee")
            await transaction.commit()
        assert shop.rooms_announced == ["coffee"]
    assert await shop.rooms() == ["coffee"]


async def test_a_transaction_that_nobody_commits_leaves_nothing(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        await transaction.order("tea")
        await chat.conversations.create("tea")
    assert (shop.stored(), await shop.rooms()) == (0, [])
    await shop.nothing_announced()


async def test_an_exception_in_the_block_goes_through_it_and_rolls_back(any_shop: Shop) -> None:
    shop = any_shop
    with suppress(Oops):
        async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
            await transaction.order("tea")
            await chat.conversations.create("tea")
            raise Oops
    assert (shop.stored(), await shop.rooms()) == (0, [])
    await shop.nothing_announced()


async def test_a_refusal_leaves_the_transaction_usable(any_shop: Shop) -> None:
    shop = any_shop
    await shop.kit.conversations.create("taken")
    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        await transaction.order("tea")
        with pytest.raises(Conflict):
            await chat.conversations.create("taken")
        with pytest.raises(NotFound):
            await chat.events.create("CON-none", "custom:x")
        await chat.conversations.create("free")
        await transaction.commit()
    assert (shop.stored(), sorted(await shop.rooms())) == (1, ["free", "taken"])
    assert shop.rooms_announced == ["taken", "free"]


async def test_everybody_takes_turns_on_one_conversation_and_ids_have_no_holes(any_shop: Shop) -> None:
    shop = any_shop
    async with open_world(shop.kit) as world:
        limiter = anyio.CapacityLimiter(3)

        async def post() -> None:
            for _ in range(10):
                await world.say()

        async def use(number: int) -> None:
            async with limiter, shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
                await chat.events.create(world.conversation, "custom:x", {"number": number})
                if number % 3:
                    await transaction.commit()

        before = len(await world.types())
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(use, number)
                for _ in range(3):
                    group.start_soon(post)
        log = await shop.kit.events.list(world.conversation, EventRange(size=1000))
        assert [event.id for event in log] == list(range(1, before + 30 + 8 + 1))
        assert sorted(event.body["number"] for event in log if event.type == "custom:x") == [1, 2, 4, 5, 7, 8, 10, 11]
        announced = [signal.event.id for signal in shop.seen if isinstance(signal, EventCreated)]
        assert sorted(id for id in announced if id) == [event.id for event in log]


async def test_it_acts_in_any_application_and_as_any_user(shop: Shop) -> None:
    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        await chat.users.create("ana")
        assert (await chat.as_user("ana").conversations.create("mine")).application_id == APP
        await chat.application(OTHER).conversations.create("theirs")
        await transaction.commit()
    assert await shop.rooms() == ["mine"]
    assert (await shop.kit.application(OTHER).conversations.list()).total == 1


async def test_hooks_run_as_ever(shop: Shop) -> None:
    @shop.kit.before(CreateConversation)
    async def no_adverts(command: CreateConversation, context: Context) -> None:
        if command.name == "advert":
            raise Rejected("shop:error:advert", "No adverts.")

    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        with pytest.raises(Rejected):
            await chat.conversations.create("advert")
        await chat.conversations.create("tea")
        await transaction.commit()
    assert await shop.rooms() == ["tea"]


async def test_calls_side_by_side_wait_for_each_other(any_shop: Shop) -> None:
    shop = any_shop
    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        room = await chat.conversations.create("tea")
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(chat.events.create, room.id, "custom:x")
        await transaction.commit()
    assert [event.id for event in await shop.kit.events.list(room.id)] == list(range(1, 11))


async def test_what_the_block_gave_is_good_inside_of_it_only(shop: Shop) -> None:
    with Session(shop.engine) as session:
        async with shop.kit.using(session) as chat:
            pass
        with pytest.raises(ConfigurationError, match="has ended"):
            await chat.conversations.create()


async def test_a_scoped_session_is_that_of_the_caller(shop: Shop) -> None:
    scoped = scoped_session(sessionmaker(shop.engine))
    async with shop.kit.using(scoped) as chat:
        await chat.conversations.create("tea")
        scoped.commit()
    assert await shop.rooms() == ["tea"]
    scoped.remove()


async def test_the_kit_may_have_the_hosts_engine(tmp_path: Path) -> None:
    async with open_shop("sqlite", tmp_path, own_engine=False) as shop:
        async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
            await transaction.order("tea")
            await chat.conversations.create("tea")
            await transaction.commit()
        assert (shop.stored(), await shop.rooms(), shop.rooms_announced) == (1, ["tea"], ["tea"])


async def test_the_storage_opens_when_it_is_first_used_in_a_block(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/chat.db")
    kit = ConversationKit(storage=SQLStorage(engine), auth=HostAuthenticator(lambda scope: None))
    with Session(engine) as session:
        async with kit.using(session) as chat:
            await chat.conversations.create("tea")
            session.commit()
    assert (await kit.conversations.list()).total == 1
    await kit.close()
    engine.dispose()


async def test_events_wait_for_a_lock_that_a_transaction_holds(tmp_path: Path) -> None:
    """What others post to the conversation comes after what the host's transaction has written there."""
    async with open_shop("postgresql", tmp_path) as shop:
        room = await shop.kit.conversations.create("tea")
        with Session(shop.engine) as session:
            async with shop.kit.using(session) as chat:
                await chat.events.create(room.id, "custom:first")
                async with anyio.create_task_group() as group:
                    group.start_soon(shop.kit.events.create, room.id, "custom:second")
                    await _somebody_waits(shop, session)
                    session.commit()
        assert [event.type for event in await shop.kit.events.list(room.id)] == ["custom:first", "custom:second"]


async def _somebody_waits(shop: Shop, session: Session) -> None:
    """Return when another connection waits for a lock of this session's."""
    pid = session.connection().execute(text("SELECT pg_backend_pid()")).scalar_one()
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid))")
    with anyio.fail_after(30), shop.engine.connect() as connection:
        while not connection.execute(waiting, {"pid": pid}).scalar():
            connection.rollback()
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_cancelled_by_asyncio_gets_the_session_back_unused(tmp_path: Path) -> None:
    """Cancelled from outside, as by ``asyncio.wait_for``, while a worker thread has the session."""
    async with open_shop("sqlite", tmp_path) as shop:
        entered, go_on = threading.Event(), threading.Event()
        hook_ended = False

        @shop.kit.within(ConversationCreated)
        def wait(signal: ConversationCreated, session: Session) -> None:
            nonlocal hook_ended
            entered.set()
            assert go_on.wait(30)
            hook_ended = True

        async def place_order() -> bool:
            with Session(shop.engine) as session:
                try:
                    async with shop.kit.using(session) as chat:
                        await chat.conversations.create("tea")
                finally:
                    assert hook_ended
            return True

        task = asyncio.ensure_future(place_order())
        await anyio.to_thread.run_sync(entered.wait)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await shop.rooms() == []


async def test_a_transaction_that_forgets_old_answers_keeps_nobody_waiting(tmp_path: Path) -> None:
    for database in ("postgresql", "mariadb"):
        async with open_shop(database, tmp_path) as shop:
            for number in range(3):
                await shop.kit.once(f"old-{number}").conversations.create()
            answer = make_tables().answer
            with shop.engine.begin() as connection:
                connection.execute(update(answer).values(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))
            async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
                await chat.once("k").conversations.create()
                await shop.kit.once("another").conversations.create()
                await transaction.commit()
            with shop.engine.connect() as connection:
                assert len(connection.execute(select(answer.c.mark)).all()) == 2
