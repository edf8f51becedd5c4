"""The same job as FastAPI's and SQLAlchemy's tutorials show it: ORM models, a session for each request, a response model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, DateTime, ForeignKey, String, UniqueConstraint, event, make_url, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.rooms import LOGGED, PREFIX, Rooms, make_rooms, message


class Base(DeclarativeBase):
    """The models' own."""


class Conversation(Base):
    """A conversation and the number of its last event."""

    __tablename__ = "conversation"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    sequence_number: Mapped[int] = mapped_column(default=0)


class Member(Base):
    """A user in a conversation."""

    __tablename__ = "member"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id"), index=True)
    user_name: Mapped[str] = mapped_column(String(255), index=True)
    state: Mapped[str] = mapped_column(String(16), default="joined")


class Event(Base):
    """An event with its number in the conversation."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("conversation_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id"))
    number: Mapped[int]
    type: Mapped[str] = mapped_column(String(100))
    sender_id: Mapped[str] = mapped_column(ForeignKey("member.id"))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))


class EventIn(BaseModel):
    """An event to append."""

    type: str
    sender_id: str = Field(alias="from")
    body: dict[str, Any]


class EventOut(BaseModel):
    """An event as answered."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)
    id: int = Field(validation_alias="number")
    type: str
    sender_id: str = Field(serialization_alias="from")
    body: dict[str, Any]
    timestamp: datetime


@asynccontextmanager
async def opened_fastapi(url: str, public_key: str) -> AsyncIterator[tuple[FastAPI, Rooms]]:
    """Open the application on the SQLite file or the PostgreSQL database of ``url``, with its conversations in it."""
    target = make_url(url)
    is_sqlite = target.get_backend_name() == "sqlite"
    target = target.set(drivername="sqlite+aiosqlite" if is_sqlite else "postgresql+psycopg")
    engine = create_async_engine(target, connect_args={"timeout": 30} if is_sqlite else {})
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", _set_pragmas)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    rooms = make_rooms()
    async with sessions() as session:
        await _fill(session, rooms)
    app = FastAPI()
    app.include_router(_router(sessions, public_key), prefix=PREFIX)
    yield app, rooms
    await engine.dispose()


def _router(sessions: async_sessionmaker[AsyncSession], public_key: str) -> APIRouter:
    router = APIRouter()
    bearer = HTTPBearer()

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async def get_user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
        try:
            return str(jwt.decode(credentials.credentials, public_key, algorithms=["RS256"])["sub"])
        except jwt.InvalidTokenError as error:
            raise HTTPException(401, "Could not validate credentials") from error

    async def get_conversation(conversation_id: str, session: Annotated[AsyncSession, Depends(get_session)]) -> Conversation:
        conversation = await session.get(Conversation, conversation_id)
        if conversation is None:
            raise HTTPException(404, "Conversation not found")
        return conversation

    async def get_member(
        conversation: Annotated[Conversation, Depends(get_conversation)],
        user: Annotated[str, Depends(get_user)],
        session: Annotated[AsyncSession, Depends(get_session)],
    ) -> Member:
        query = select(Member).where(Member.conversation_id == conversation.id, Member.user_name == user, Member.state == "joined")
        member = (await session.execute(query)).scalar_one_or_none()
        if member is None:
            raise HTTPException(403, "Not a member")
        return member

    @router.post("/conversations/{conversation_id}/events", status_code=201, response_model=EventOut)
    async def create_event(
        posted: EventIn,
        conversation: Annotated[Conversation, Depends(get_conversation)],
        member: Annotated[Member, Depends(get_member)],
        session: Annotated[AsyncSession, Depends(get_session)],
    ) -> Event:
        if posted.sender_id != member.id:
            raise HTTPException(403, "Not your member")
        # The database counts: two requests that read the same number would both write its successor.
        count = update(Conversation).where(Conversation.id == conversation.id).values(sequence_number=Conversation.sequence_number + 1)
        number = (await session.execute(count.returning(Conversation.sequence_number))).scalar_one()
        event = Event(conversation_id=conversation.id, number=number, **posted.model_dump())
        session.add(event)
        await session.commit()
        await session.refresh(event)
        return event

    @router.get("/conversations/{conversation_id}/events", response_model=list[EventOut], dependencies=[Depends(get_member)])
    async def read_events(
        conversation_id: str,
        session: Annotated[AsyncSession, Depends(get_session)],
        order: str = "asc",
        page_size: Annotated[int, Query(le=100)] = 100,
    ) -> list[Event]:
        number = Event.number.desc() if order == "desc" else Event.number
        query = select(Event).where(Event.conversation_id == conversation_id).order_by(number).limit(page_size)
        return list((await session.scalars(query)).all())

    return router


def _set_pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


async def _fill(session: AsyncSession, rooms: Rooms) -> None:
    session.add_all([Conversation(id=room.id, sequence_number=LOGGED if room is rooms.read else 0) for room in rooms])
    await session.flush()
    session.add_all([Member(id=id, conversation_id=room.id, user_name=user) for room in rooms for user, id in room.members])
    await session.flush()
    room = rooms.read
    for number in range(1, LOGGED + 1):
        sender = room.members[number % len(room.members)][1]
        body = {"text": message(number)}
        session.add(Event(conversation_id=room.id, number=number, type="text", sender_id=sender, body=body))
    await session.commit()
