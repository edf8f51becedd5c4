"""A shop that keeps its orders in the same database as its conversations, and the four ways in which it may hold a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, create_engine, event, func, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from conversation_kit import ConversationCreated, ConversationKit, Signal
from conversation_kit_sql import SQLStorage
from tests.support.databases import SQL, emptied
from tests.support.world import make_kit

SYNC = ("Session", "Connection")
ASYNC = ("AsyncSession", "AsyncConnection")
metadata = MetaData()
orders = Table("orders", metadata, Column("id", Integer, primary_key=True), Column("what", String(64), unique=True))
ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
WAYS = [(database, way) for way in (*SYNC, *ASYNC) for database in SQL if way in SYNC or database in ASYNC_DRIVERS]


@dataclass
class Transaction:
    """A host's transaction, whatever it is made of; the methods are all awaited."""

    session: Any

    @property
    def engine(self) -> Engine:
        """The sync engine behind it."""
        session = getattr(self.session, "sync_session", None) or getattr(self.session, "sync_connection", None) or self.session
        bind = session.get_bind() if isinstance(session, Session) else session
        engine: Engine = bind.engine
        return engine

    async def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        answer = method(*arguments)
        return await answer if isinstance(answer, Awaitable) else answer

    async def order(self, what: str) -> None:
        await self._call(self.session.execute, insert(orders).values(what=what))

    async def commit(self) -> None:
        await self._call(self.session.commit)

    async def rollback(self) -> None:
        await self._call(self.session.rollback)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        nested = self.session.begin_nested()
        if isinstance(self.session, AsyncSession | AsyncConnection):
            async with nested:
                yield
        else:
            with nested:
                yield


@dataclass
class Shop:
    """The kit and the host's engines on one database; ``way`` is what its transactions are made of."""

    kit: ConversationKit
    url: str
    engine: Engine
    way: str
    seen: list[Signal] = field(default_factory=list)
    arrived: anyio.Event = field(default_factory=anyio.Event)
    async_engine: AsyncEngine | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A session or connection that nobody has committed yet; closed at the end."""
        if self.way in SYNC:
            with Session(self.engine) if self.way == "Session" else self.engine.connect() as session:
                yield Transaction(session)
            return
        if self.async_engine is None:
            url = make_url(self.url)
            self.async_engine = create_async_engine(url.set(drivername=ASYNC_DRIVERS[url.get_backend_name()]))
        async with AsyncSession(self.async_engine) if self.way == "AsyncSession" else self.async_engine.connect() as session:
            yield Transaction(session)

    def stored(self) -> int:
        """How many orders others see."""
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(orders)).scalar_one()

    async def rooms(self) -> list[str]:
        """The conversations that others see."""
        return [room.name for room in (await self.kit.conversations.list()).items]

    async def until(self, count: int) -> list[str]:
        """The names of the signals, once there are so many."""
        with anyio.fail_after(30):
            while len(self.seen) < count:
                self.arrived = anyio.Event()
                await self.arrived.wait()
        return self.names

    async def nothing_announced(self, count: int = 0) -> None:
        """Signals come in order, so when that of a later change is here, those of an earlier one would be."""
        await self.kit.conversations.create("the last one")
        assert await self.until(count + 1) == ["ConversationCreated"] * (count + 1)
        assert self.rooms_announced[-1] == "the last one"
        await self.kit.conversations.delete((await self.kit.conversations.list()).items[-1].id)

    @property
    def rooms_announced(self) -> list[str]:
        """The names of the conversations whose creation was announced."""
        return [signal.conversation.name for signal in self.seen if isinstance(signal, ConversationCreated)]

    @property
    def names(self) -> list[str]:
        return [type(signal).__name__ for signal in self.seen]


def begin_with(engine: Engine, statement: str) -> None:
    """Let SQLAlchemy begin SQLite's transactions, and not Python's driver; this is what its documentation recommends."""

    def leave_it_alone(connection: Any, record: object) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    event.listen(engine, "connect", leave_it_alone)
    event.listen(engine, "begin", begin)
    engine.dispose()


@asynccontextmanager
async def open_shop(database: str, folder: Path, way: str = "Session", *, own_engine: bool = True) -> AsyncIterator[Shop]:
    """A shop on an empty database of this kind; its kit has an engine of its own, or the host's."""
    with emptied(database, folder) as url:
        options = {"isolation_level": "READ COMMITTED"} if database == "mariadb" else {}
        engine = create_engine(url, **options)
        metadata.create_all(engine)
        kit = make_kit(SQLStorage(url if own_engine else engine))
        shop = Shop(kit, url, engine, way)

        @kit.on(Signal)
        async def note(signal: Signal) -> None:
            shop.seen.append(signal)
            shop.arrived.set()

        try:
            async with kit.lifespan():
                yield shop
        finally:
            if shop.async_engine is not None:
                await shop.async_engine.dispose()
            with engine.begin() as connection:
                connection.execute(orders.delete())
            engine.dispose()
