"""A host's code, as its author writes it: type checkers agree with each ``assert_type``, and find nothing to complain of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_type

from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.routing import Mount

from conversation_kit import (
    AccessRequest,
    Client,
    Context,
    Conversation,
    ConversationKit,
    CreateEvent,
    Event,
    EventCreated,
    Feed,
    HostAuthenticator,
    HostClient,
    HostUser,
    JWTAuthenticator,
    Leg,
    LegTerminated,
    Member,
    MemberJoined,
    MemoryStorage,
    Migration,
    Page,
    Rejected,
    Slice,
    Stats,
    Storage,
    Subscription,
    User,
)
from conversation_kit.testing import StorageContract
from conversation_kit_sql import SQLStorage


def who(scope: Mapping[str, Any]) -> HostUser | None:
    return HostUser("ana", display_name="Ana") if "user" in scope else None


def may(request: AccessRequest) -> bool | None:
    return None if request.principal.user_name else True


kit = ConversationKit(storage=SQLStorage(create_engine("sqlite://")), auth=HostAuthenticator(who), authorize=may, application_id="app")
by_token = ConversationKit(storage="memory://", auth=JWTAuthenticator({"app": Path("app.pub")}))
app = Starlette(routes=[Mount("/beta", app=kit)], lifespan=kit.lifespan)
around = kit.middleware(app, "/beta")
storage: Storage = MemoryStorage()


@kit.before(CreateEvent)
async def no_shouting(command: CreateEvent, context: Context) -> CreateEvent | None:
    if command.type == "text" and str(command.body.get("text")).isupper():
        raise Rejected("chat:error:shouting", "Please do not shout.")
    return replace(command, body={**command.body, "checked": True})


@kit.before(CreateEvent, timeout=1.0, on_failure="allow")
def count(command: CreateEvent, context: Context) -> None:
    assert_type(context.principal.user_name, str | None)


@kit.on(MemberJoined)
async def welcome(signal: MemberJoined) -> None:
    assert_type(signal.member, Member)
    assert_type(signal.member.user_name, str)


@kit.on("custom:*", background=True)
def rated(signal: EventCreated) -> None:
    assert_type(signal.event, Event)
    assert_type(signal.event.id, int | None)


@kit.on(LegTerminated)
def ended(signal: LegTerminated) -> None:
    assert_type(signal.leg, Leg)


@kit.within(EventCreated)
def noted(signal: EventCreated, session: Session) -> None:
    session.flush()


async def use(session: Session) -> None:
    assert_type(kit.as_user("ana"), Client)
    assert_type(kit.application("app"), Client)
    room = await kit.conversations.create("tea kitchen", display_name="Tea")
    assert_type(room, Conversation)
    member = await kit.members.join(room.id, user_name="ana")
    assert_type(member, Member)
    assert_type(await kit.users.find_or_create("bo"), User)
    assert_type(await kit.users.list(Page(size=10)), Slice[User])
    assert_type(await kit.events.create(room.id, "text", {"text": "hello"}), Event)
    async with kit.subscribe(room.id, after=0) as subscription:
        assert_type(subscription, Subscription)
        async for event in subscription:
            assert_type(event, Event)
            break
    async with kit.as_user("ana").feed() as feed:
        assert_type(feed, Feed)
        assert_type(feed.cursor, str)
    async with kit.using(session) as chat:
        assert_type(chat, HostClient)
    assert_type(kit.stats(), Stats)
    assert_type(await kit.migrate(), Migration | None)
    # Decorators give the functions back as they were.
    await welcome(MemberJoined("app", member))
    rated(EventCreated("app", await kit.events.create(room.id, "custom:x", {})))


class TestMine(StorageContract):
    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield MemoryStorage()
