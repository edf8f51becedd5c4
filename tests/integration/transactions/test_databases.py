"""In which transactions of a host the kit works, and what it says of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from conversation_kit import (
    ConfigurationError,
    Context,
    CreateConversation,
    EventCreated,
    MemoryStorage,
    StorageUnavailable,
)
from conversation_kit_sql import SQLStorage
from examples.custom_storage import JsonLinesStorage
from tests.integration.transactions.host import Shop, begin_with, open_shop, orders
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio


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


async def test_a_look_for_a_kept_answer_does_not_keep_a_transaction_on_sqlite_from_writing(tmp_path: Path) -> None:
    async with open_shop("sqlite", tmp_path) as shop:
        begin_with(shop.engine, "BEGIN")

        @shop.kit.before(CreateConversation)
        async def others_write(command: CreateConversation, context: Context) -> None:
            locked = create_engine(shop.url, connect_args={"timeout": 0.01})
            with locked.connect() as connection, pytest.raises(OperationalError, match="locked"):
                connection.execute(insert(orders).values(what="coffee"))
            locked.dispose()

        async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
            await chat.once("k").conversations.create("tea")
            await transaction.commit()
        assert await shop.rooms() == ["tea"]


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
