"""The kit inside a transaction of the host's: one commit, or none, for what both write."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from conversation_kit import (
    ConfigurationError,
    Conflict,
    Context,
    ConversationCreated,
    ConversationKit,
    CreateConversation,
    EventCreated,
    HostAuthenticator,
    MemoryStorage,
    NotFound,
    Rejected,
    StorageUnavailable,
)
from conversation_kit.domain.reading import EventRange
from conversation_kit_sql import SQLStorage
from examples.custom_storage import JsonLinesStorage
from tests.transactions.host import Shop, begin_with, open_shop
from tests.world import APP, OTHER, make_kit, open_world

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


async def test_a_storage_without_transactions_is_refused(tmp_path: Path) -> None:
    for storage in (MemoryStorage(), JsonLinesStorage(tmp_path / "chat.jsonl")):
        kit = make_kit(storage)
        with pytest.raises(ConfigurationError, match=r"kit.using\(\) needs a storage on a database"):
            async with kit.using(object()):
                pass
        with pytest.raises(ConfigurationError, match=r"kit.within\(\) needs a storage on a database"):
            kit.within(EventCreated)


async def test_what_is_no_session_is_refused(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="takes an SQLAlchemy Session"):
        async with shop.kit.using(shop.engine):
            pass
    with pytest.raises(ConfigurationError, match="bound"):
        async with shop.kit.using(Session()) as chat:
            await chat.conversations.create()


async def test_another_database_is_told_apart(shop: Shop, tmp_path: Path) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db")
    with Session(other) as session:
        async with shop.kit.using(session) as chat:
            with pytest.raises(ConfigurationError, match="has no table conversation_kit_conversation"):
                await chat.conversations.create()
    other.dispose()


async def test_a_connection_that_commits_by_itself_is_refused(tmp_path: Path) -> None:
    for database in ("postgresql", "mariadb"):
        async with open_shop(database, tmp_path) as shop:
            with shop.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                async with shop.kit.using(connection) as chat:
                    with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
                        await chat.conversations.create()


async def test_repeatable_reads_of_mariadb_are_refused(tmp_path: Path) -> None:
    async with open_shop("mariadb", tmp_path) as shop:
        with shop.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            async with shop.kit.using(connection) as chat:
                with pytest.raises(ConfigurationError, match="READ COMMITTED"):
                    await chat.conversations.create()


async def test_sqlite_in_memory_is_refused() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    kit = make_kit(SQLStorage(engine))
    async with kit.lifespan():
        with Session(engine) as session:
            async with kit.using(session) as chat:
                with pytest.raises(ConfigurationError, match="use a file"):
                    await chat.conversations.create()
    engine.dispose()


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


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
async def test_an_sqlite_engine_that_begins_transactions_itself_is_fine(tmp_path: Path, begin: str) -> None:
    async with open_shop("sqlite", tmp_path) as shop:
        begin_with(shop.engine, begin)
        async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
            await transaction.order("tea")
            await chat.conversations.create("tea")
            await transaction.commit()
        assert (shop.stored(), await shop.rooms()) == (1, ["tea"])


async def test_a_transaction_that_read_before_others_wrote_cannot_write_on_sqlite(tmp_path: Path) -> None:
    async with open_shop("sqlite", tmp_path) as shop:
        with shop.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.execute(text("SELECT count(*) FROM orders")).all()
            await shop.kit.conversations.create("others")
            async with shop.kit.using(connection) as chat:
                with pytest.raises(StorageUnavailable, match="BEGIN IMMEDIATE"):
                    await chat.conversations.create("late")
        assert await shop.rooms() == ["others"]


async def test_a_locked_sqlite_file_is_unavailable(tmp_path: Path) -> None:
    async with open_shop("sqlite", tmp_path) as shop:
        impatient = create_engine(shop.url, connect_args={"timeout": 0.05})
        with Session(impatient) as session, shop.engine.connect() as holder:
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            async with shop.kit.using(session) as chat:
                with pytest.raises(StorageUnavailable, match="locked"):
                    await chat.conversations.create("tea")
        impatient.dispose()


async def test_events_wait_for_a_lock_that_a_transaction_holds(tmp_path: Path) -> None:
    """What others post to the conversation comes after what the host's transaction has written there."""
    async with open_shop("postgresql", tmp_path) as shop:
        room = await shop.kit.conversations.create("tea")
        with Session(shop.engine) as session:
            async with shop.kit.using(session) as chat:
                await chat.events.create(room.id, "custom:first")
                async with anyio.create_task_group() as group:
                    group.start_soon(shop.kit.events.create, room.id, "custom:second")
                    await _somebody_waits(shop)
                    session.commit()
        assert [event.type for event in await shop.kit.events.list(room.id)] == ["custom:first", "custom:second"]


async def _somebody_waits(shop: Shop) -> None:
    with anyio.fail_after(10), shop.engine.connect() as connection:
        while not connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar():
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
            assert go_on.wait(10)
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


def test_a_commit_after_the_event_loop_has_ended_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/chat.db")
    session = Session(engine)

    async def place_order() -> None:
        kit = make_kit(SQLStorage(engine))
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
            thread.join(10)
    assert caplog.text.count("1 signals of a committed transaction could not be announced") == 2
    engine.dispose()
