"""Hooks that write in the transaction of what they are told of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session

from conversation_kit import (
    ConfigurationError,
    ConversationCreated,
    CreateEvent,
    EventCreated,
    HookFailed,
    LegTerminated,
    Rejected,
    Signal,
    UserCreated,
)
from tests.transactions.host import Shop, open_shop, orders
from tests.world import make_kit, open_world

pytestmark = pytest.mark.anyio


def write(session: Session, what: str) -> None:
    session.execute(insert(orders).values(what=what))


def written(shop: Shop) -> list[str]:
    with shop.engine.connect() as connection:
        return list(connection.execute(select(orders.c.what).order_by(orders.c.id)).scalars())


async def everything(shop: Shop) -> None:
    """Whatever there is to be announced."""
    kit = shop.kit
    user = await kit.users.create("ana")
    await kit.users.update(user.id, display_name="Ana", name="anna")
    room = await kit.conversations.create("room")
    await kit.conversations.update(room.id, display_name="Room")
    invited = await kit.members.invite(room.id, user_id=user.id, channel={"type": "phone"})
    member = await kit.members.join(room.id, member_id=invited.id)
    leg = invited.channel["leg_id"]
    await kit.legs.update(leg, "answered")
    event = await kit.events.create(room.id, "text", {"text": "hello"}, sender=member.id)
    await kit.events.create(room.id, "text:typing:on", sender=member.id)
    assert event.id is not None
    await kit.events.delete(room.id, event.id)
    await kit.legs.delete(leg)
    await kit.members.remove(room.id, member.id)
    await kit.conversations.delete(room.id)
    await kit.users.delete(user.id)
    knocker = await kit.legs.knock("phone")
    await kit.legs.update(knocker.id, "completed")


KINDS = {
    *("ConversationCreated", "ConversationUpdated", "ConversationDeleted", "UserCreated", "UserUpdated", "UserDeleted", "MemberInvited"),
    *("MemberJoined", "MemberLeft", "EventCreated", "EventDeleted", "LegStarted", "LegUpdated", "LegTerminated"),
}


async def test_a_hook_is_told_of_whatever_is_announced_and_before_it_is(shop: Shop) -> None:
    told: list[Signal] = []

    @shop.kit.within(Signal)
    def note(signal: Signal, session: Session) -> None:
        assert signal not in shop.seen
        told.append(signal)
        write(session, str(len(told)))

    await everything(shop)
    assert {type(signal).__name__ for signal in told} == KINDS
    assert told == shop.seen
    assert written(shop) == [str(number) for number in range(1, len(told) + 1)]


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_a_hook_that_raises_undoes_the_command_of_any_kind(tmp_path: Path, name: str) -> None:
    async with open_shop("sqlite", tmp_path) as shop:

        @shop.kit.within(Signal)
        def refuse(signal: Signal, session: Session) -> None:
            write(session, f"{len(shop.seen)} {type(signal).__name__} {id(signal)}")
            if type(signal).__name__ == name:
                raise Rejected("shop:error:no", "No.")

        with pytest.raises(Rejected):
            await everything(shop)
        assert name not in shop.names
        assert not [what for what in written(shop) if what.split()[1] == name]
        for conversation in (await shop.kit.conversations.list()).items:
            log = await shop.kit.events.list(conversation.id)
            assert [event.id for event in log] == list(range(1, conversation.sequence_number + 1))
            announced = [one.event.id for one in shop.seen if isinstance(one, EventCreated) and one.event.id]
            assert announced == [event.id for event in log]


async def test_the_rows_of_a_hook_and_of_the_kit_appear_at_once(shop: Shop) -> None:
    room = await shop.kit.conversations.create("room")
    before: list[Any] = []

    @shop.kit.within("custom:*")
    def look(signal: EventCreated, session: Session) -> None:
        write(session, "billed")
        before.append(written(shop))

    await shop.kit.events.create(room.id, "custom:x")
    assert (before, written(shop)) == ([[]], ["billed"])
    await shop.kit.events.create(room.id, "text", {"text": "free"})
    assert written(shop) == ["billed"]


async def test_what_a_hook_raises_reaches_the_client(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    @shop.kit.within("text")
    def charge(signal: EventCreated, session: Session) -> None:
        write(session, signal.event.body["text"])
        if signal.event.body["text"] == "too dear":
            raise Rejected("shop:error:no-credit", "Buy some credit first.")
        if signal.event.body["text"] == "broken":
            raise ZeroDivisionError

    async with open_world(shop.kit) as world:
        event = {"type": "text", "body": {"text": "too dear"}}
        answer = await world.json("POST", f"{world.path}/events", "ana", status=403, json=event)
        assert answer["code"] == "shop:error:no-credit"
        with caplog.at_level(logging.ERROR, "conversation_kit"):
            event = {"type": "text", "body": {"text": "broken"}}
            answer = await world.json("POST", f"{world.path}/events", "ana", status=503, json=event)
        assert answer["code"] == "system:error:hook-failed"
        assert "charge" in caplog.text
        assert written(shop) == []
        await world.say("fine")
        assert written(shop) == ["fine"]
        log = await shop.kit.events.list(world.conversation)
        assert [one.id for one in log] == list(range(1, len(log) + 1))


async def test_a_hook_that_fails_leaves_its_neighbours_alone(shop: Shop) -> None:
    """All of them wait for the same lock and are then committed in a group."""
    rooms = [await shop.kit.conversations.create() for _ in range(2)]

    @shop.kit.within("custom:odd")
    def fail(signal: EventCreated, session: Session) -> None:
        write(session, "odd")
        raise ZeroDivisionError

    results: list[Any] = []

    async def post(number: int) -> None:
        try:
            results.append(await shop.kit.events.create(rooms[number // 2 % 2].id, "custom:odd" if number % 2 else "custom:even"))
        except HookFailed as error:
            results.append(error)

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(post, number)
    assert len([one for one in results if isinstance(one, HookFailed)]) == 20
    for room in rooms:
        log = await shop.kit.events.list(room.id)
        assert [event.id for event in log] == list(range(1, 11))
        assert {event.type for event in log} == {"custom:even"}
    assert written(shop) == []


async def test_rows_that_the_database_refuses_undo_the_command(shop: Shop) -> None:
    @shop.kit.within(UserCreated)
    def record(signal: UserCreated, session: Session) -> None:
        write(session, "only one")

    await shop.kit.users.create("ana")
    with pytest.raises(HookFailed):
        await shop.kit.users.create("bo")
    assert [user.name for user in (await shop.kit.users.list()).items] == ["ana"]
    assert written(shop) == ["only one"]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_a_hook_cannot_end_the_transaction(shop: Shop, end: str) -> None:
    @shop.kit.within(UserCreated)
    def record(signal: UserCreated, session: Session) -> None:
        write(session, signal.user.name)
        getattr(session, end)()
        if signal.user.name == "bo":
            raise Rejected("shop:error:no", "No.")

    await shop.kit.users.create("ana")
    with pytest.raises(Rejected):
        await shop.kit.users.create("bo")
    assert [user.name for user in (await shop.kit.users.list()).items] == ["ana"]
    assert written(shop) == (["ana"] if end == "commit" else [])


async def test_hooks_run_in_order_and_each_sees_what_the_one_before_wrote(shop: Shop) -> None:
    @shop.kit.within(UserCreated)
    def first(signal: UserCreated, session: Session) -> None:
        write(session, "first")

    @shop.kit.within(UserCreated)
    def second(signal: UserCreated, session: Session) -> None:
        write(session, "then " + session.execute(select(orders.c.what)).scalar_one())

    await shop.kit.users.create("ana")
    assert written(shop) == ["first", "then first"]


async def test_hooks_run_in_the_hosts_transaction_too(any_shop: Shop) -> None:
    shop = any_shop

    @shop.kit.within(ConversationCreated)
    def record(signal: ConversationCreated, session: Session) -> None:
        write(session, f"record of {signal.conversation.name}")
        if signal.conversation.name == "bad":
            raise Rejected("shop:error:no", "No.")

    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        await transaction.order("tea")
        await chat.conversations.create("good")
        with pytest.raises(Rejected):
            await chat.conversations.create("bad")
        await chat.conversations.create("better")
        assert written(shop) == []
        await transaction.commit()
    assert written(shop) == ["tea", "record of good", "record of better"]
    assert shop.rooms_announced == ["good", "better"]
    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        await chat.conversations.create("undone")
    assert len(written(shop)) == 3


REQUEST: ContextVar[str] = ContextVar("REQUEST")


async def test_a_hook_runs_in_the_context_of_its_own_request(any_shop: Shop) -> None:
    shop = any_shop
    seen: dict[str, str] = {}

    @shop.kit.within(UserCreated)
    def note(signal: UserCreated, session: Session) -> None:
        seen[signal.user.name] = REQUEST.get()

    async def create(name: str) -> None:
        REQUEST.set(f"request of {name}")
        await shop.kit.users.create(name)

    names = [f"user{number}" for number in range(10)]
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(create, name)
    REQUEST.set("request of ana")
    async with shop.transaction() as transaction, shop.kit.using(transaction.session) as chat:
        await chat.users.create("ana")
    assert seen == {name: f"request of {name}" for name in [*names, "ana"]}


async def test_an_async_hook_is_refused(tmp_path: Path) -> None:
    async with open_shop("sqlite", tmp_path) as shop:

        async def charge(signal: Signal, session: Session) -> None: ...

        with pytest.raises(ConfigurationError, match="nothing can be awaited"):
            shop.kit.within(LegTerminated)(charge)
        for what in (CreateEvent, 5):
            with pytest.raises(ConfigurationError, match="within"):
                shop.kit.within(what)(print)  # type: ignore[arg-type]
        answers: list[Callable[..., Any]] = [lambda signal, session: charge(signal, session)]
        shop.kit.within(UserCreated)(answers[0])
        with pytest.raises(HookFailed):
            await shop.kit.users.create("ana")


async def test_hooks_cost_nothing_where_nobody_asked(tmp_path: Path) -> None:
    """Changes that no hook wants stay in their group: one commit for all of them."""
    async with open_shop("sqlite", tmp_path) as shop:
        room = await shop.kit.conversations.create("room")
        told: list[Signal] = []

        @shop.kit.within(LegTerminated)
        def charge(signal: LegTerminated, session: Session) -> None:
            told.append(signal)

        commits: list[object] = []
        storage: Any = shop.kit.storage
        event.listen(storage._database.engine, "commit", commits.append)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(shop.kit.events.create, room.id, "custom:x")
        assert len(commits) <= 3
        assert told == []


async def test_hooks_work_on_sqlite_in_memory_too() -> None:
    kit = make_kit("sqlite://")
    async with kit.lifespan():

        @kit.within(UserCreated)
        def refuse(signal: UserCreated, session: Session) -> None:
            if session.execute(text("SELECT count(*) FROM conversation_kit_user")).scalar() == 2:
                raise Rejected("shop:error:full", "One is enough.")

        await kit.users.create("ana")
        with pytest.raises(Rejected):
            await kit.users.create("bo")
        assert [user.name for user in (await kit.users.list()).items] == ["ana"]
