"""A FastAPI shop in whose database an order and its conversation are one commit, and so are the end of a call and its bill.

    uvicorn examples.shared_transaction:app --ws-max-size 70000 --ws-per-message-deflate false

    curl -X POST -H "X-User: ana" localhost:8000/orders/teapot
    curl -X POST -H "X-User: ana" localhost:8000/orders/unicorn       # sold out: neither an order nor a conversation
    curl -X POST localhost:8000/calls/LEG_ID/ended
    curl localhost:8000/bills

`SHOP_DATABASE` names another database than the file shop.db, such as postgresql+psycopg://localhost/shop.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from conversation_kit import ConversationKit, HostAuthenticator, LegTerminated
from conversation_kit.ports import ASGIScope


class Base(DeclarativeBase):
    """The shop's own tables."""


class Order(Base):
    """Order of a customer, and the conversation about it."""

    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]
    conversation_id: Mapped[str | None]


class Bill(Base):
    """Bill for a call."""

    __tablename__ = "shop_bill"
    leg_id: Mapped[str] = mapped_column(primary_key=True)
    seconds: Mapped[int]


def who_calls(scope: ASGIScope) -> str | None:
    """Return the name of the user.

    A real shop looks into its session.
    """
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-user"), None)


def make_shop(database: str) -> FastAPI:
    """Make the shop on the database with this URL of a sync driver."""
    kit = ConversationKit(storage=database, auth=HostAuthenticator(who_calls, create_users=True))
    url = make_url(database)
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite") if url.get_backend_name() == "sqlite" else url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @kit.within(LegTerminated)
    def charge(signal: LegTerminated, session: Session) -> None:
        """Write the bill in one commit with the end of the call: there is no end without a bill, and no bill without an end."""
        session.add(Bill(leg_id=signal.leg.id, seconds=signal.leg.duration or 0))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with kit.lifespan():
            yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.mount("/beta", kit)

    @app.post("/orders/{what}")
    async def place_order(what: str, x_user: Annotated[str, Header()]) -> dict[str, Any]:
        async with sessions.begin() as session, kit.using(session) as chat:
            order = Order(what=what)
            session.add(order)
            await session.flush()
            customer = await chat.users.create(f"{x_user}-{order.id}", display_name=x_user)
            room = await chat.conversations.create(f"order {order.id}", display_name=what)
            member = await chat.members.join(room.id, user_id=customer.id, channel={"type": "phone"})
            order.conversation_id = room.id
            await reserve(what)
        return {"order": order.id, "conversation_id": room.id, "leg_id": member.channel["leg_id"]}

    @app.get("/orders")
    async def list_orders() -> list[dict[str, Any]]:
        async with AsyncSession(engine) as session:
            orders = await session.scalars(select(Order).order_by(Order.id))
            return [{"order": order.id, "what": order.what, "conversation_id": order.conversation_id} for order in orders]

    @app.post("/calls/{leg_id}/ended")
    async def call_ended(leg_id: str) -> dict[str, str]:
        """Mark a call as ended: the shop's telephony calls this."""
        return {"status": (await kit.legs.update(leg_id, "completed")).status}

    @app.get("/bills")
    async def list_bills() -> list[dict[str, Any]]:
        async with AsyncSession(engine) as session:
            return [{"leg_id": bill.leg_id, "seconds": bill.seconds} for bill in await session.scalars(select(Bill))]

    app.state.kit = kit
    return app


async def reserve(what: str) -> None:
    """Do something that may go wrong after the conversation has been made."""
    if what == "unicorn":
        raise HTTPException(409, "Unicorns are sold out.")


app = make_shop(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))
