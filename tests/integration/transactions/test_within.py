"""Hooks that write in the transaction of what they are told of."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
from sqlalchemy import create_engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from conversation_kit import (
    ConfigurationError,
    ConversationCreated,
    CreateEvent,
    EventCreated,
    HookFailed,
    LegTerminated,
    Rejected,
    Signal,
    StorageUnavailable,
    UserCreated,
)
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.database import write_lock
from tests.integration.transactions.host import Shop, open_shop, orders
from tests.support.databases import fresh
from tests.support.sql_probes import engine_of, sql_storage_of, writes_held
from tests.support.world import make_kit, open_world

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
        event.listen(engine_of(sql_storage_of(shop.kit)), "commit", commits.append)
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


CONFLICTS = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'for a test' USING ERRCODE = '40001'; END $$",
    "mariadb": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'for a test'",
}


@pytest.mark.parametrize("database", CONFLICTS)
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_conflict_that_a_hook_meets_is_tried_again(
    database: str, wrapped: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_shop(database, tmp_path) as shop:
        turns = 0

        @shop.kit.within("text")
        @shop.kit.within(UserCreated)
        def meet(signal: Signal, session: Session) -> None:
            nonlocal turns
            turns += 1
            write(session, f"turn {turns}")
            if turns % 3:
                try:
                    session.execute(text(CONFLICTS[database]))
                except DBAPIError:
                    if wrapped:
                        raise ValueError("The shop is closed.")  # noqa: B904 (as hosts do)
                    raise

        await shop.kit.users.create("ana")
        room = await shop.kit.conversations.create("room")
        await shop.kit.events.create(room.id, "text", {"text": "hello"})
        assert written(shop) == ["turn 3", "turn 6"]
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


DEFERRED = "CREATE TABLE parcels (id INTEGER PRIMARY KEY, what INTEGER REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_constraint_that_fails_at_the_commit_is_the_hooks(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_shop(database, tmp_path, own_engine=False) as shop:
        if database == "sqlite":
            event.listen(shop.engine, "connect", lambda connection, record: connection.execute("PRAGMA foreign_keys=ON"))
            shop.engine.dispose()
        with shop.engine.begin() as connection:
            connection.execute(text(DEFERRED))
        try:
            room = await shop.kit.conversations.create("room")

            @shop.kit.within("text")
            @shop.kit.within(UserCreated)
            def send(signal: Signal, session: Session) -> None:
                session.execute(text("INSERT INTO parcels VALUES (1, 99)"))

            with pytest.raises(HookFailed):
                await shop.kit.users.create("ana")
            with pytest.raises(HookFailed):
                await shop.kit.events.create(room.id, "text", {"text": "hello"})
            assert (await shop.kit.users.list()).items == []
            assert list(await shop.kit.events.list(room.id)) == []
            assert "FOREIGN KEY" in caplog.text.upper()
        finally:
            with shop.engine.begin() as connection:
                connection.execute(text("DROP TABLE parcels"))


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no bad words'; END $$
"""
DEFER = """
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON conversation_kit_event DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (position('bad' IN NEW.data) > 0) EXECUTE FUNCTION refuse()
"""


async def test_a_constraint_of_the_hosts_on_the_kits_tables_refuses_only_whom_it_concerns(tmp_path: Path) -> None:
    with fresh("postgresql", tmp_path) as url:
        kit = make_kit(storage := SQLStorage(url))
        async with kit.lifespan():
            room = await kit.conversations.create("room")
            engine = create_engine(url, poolclass=NullPool)
            with engine.begin() as connection:
                connection.exec_driver_sql(REFUSE)
                connection.exec_driver_sql(DEFER)
            outcomes: dict[str, str] = {}

            async def say(what: str) -> None:
                try:
                    await kit.events.create(room.id, "text", {"text": what})
                    outcomes[what] = "stored"
                except HookFailed:
                    outcomes[what] = "refused"

            async with anyio.create_task_group() as group:
                with writes_held(storage):
                    for what in ("good", "bad", "better"):
                        group.start_soon(say, what)
                    await anyio.wait_all_tasks_blocked()
            assert outcomes == {"good": "stored", "bad": "refused", "better": "stored"}
            assert sorted(one.body["text"] for one in await kit.events.list(room.id)) == ["better", "good"]


@pytest.mark.parametrize("own_loop", [True, False])
async def test_a_hook_that_runs_the_kit_is_refused_at_once(
    shop: Shop, own_loop: bool, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would wait for the transaction that waits for it, and all writes of this process with it."""
    token = anyio.lowlevel.current_token()
    busy = True

    def run(work: Callable[[], Any]) -> None:
        """Such as a hook may in its thread: on an event loop of its own, or on that of the request."""
        if not own_loop:
            anyio.from_thread.run(work, token=token)
        elif anyio_backend_name == "asyncio":
            asyncio.run(work())
        else:
            trio.run(work)

    @shop.kit.within("text")
    def answer(signal: EventCreated, session: Session) -> None:
        if busy:
            run(lambda: shop.kit.events.create(signal.event.conversation_id, "custom:answer"))

    room = await shop.kit.conversations.create("room")
    with anyio.fail_after(30):
        with pytest.raises(HookFailed):
            await shop.kit.events.create(room.id, "text", {"text": "hello"})
        assert "call the kit from a receiver" in caplog.text
        busy = False
        await shop.kit.events.create(room.id, "text", {"text": "hello"})
    assert [event.type for event in await shop.kit.events.list(room.id)] == ["text"]


@pytest.mark.parametrize("own_loop", [True, False])
async def test_a_hook_that_waits_for_a_thread_that_runs_the_kit_does_not_wait_for_ever(
    shop: Shop, own_loop: bool, anyio_backend_name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell whose thread it is, so it is told what everybody is who waits for a hook for too long."""
    monkeypatch.setattr(write_lock, "LOCK_SECONDS", 0.3)
    token = anyio.lowlevel.current_token()
    caught: list[BaseException] = []

    @shop.kit.within("text")
    def answer(signal: EventCreated, session: Session) -> None:
        async def post() -> None:
            await shop.kit.events.create(signal.event.conversation_id, "custom:answer")

        def run() -> None:
            try:
                if not own_loop:
                    anyio.from_thread.run(post, token=token)
                elif anyio_backend_name == "asyncio":
                    asyncio.run(post())
                else:
                    trio.run(post)
            except Exception as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    room = await shop.kit.conversations.create("room")
    with anyio.fail_after(30):
        await shop.kit.events.create(room.id, "text", {"text": "hello"})
    assert [type(error) for error in caught] == [StorageUnavailable]
    assert "waits for a thread that calls the kit" in str(caught[0])
    assert [event.type for event in await shop.kit.events.list(room.id)] == ["text"]


async def test_who_waits_for_a_slow_hook_gets_a_turn_after_it(shop: Shop) -> None:
    begun, go = threading.Event(), threading.Event()

    @shop.kit.within("text")
    def wait(signal: EventCreated, session: Session) -> None:
        begun.set()
        go.wait(30)

    room = await shop.kit.conversations.create("room")
    async with anyio.create_task_group() as group:
        group.start_soon(shop.kit.events.create, room.id, "text", {"text": "hello"})
        await anyio.to_thread.run_sync(begun.wait)
        group.start_soon(shop.kit.events.create, room.id, "custom:other")
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert [event.type for event in await shop.kit.events.list(room.id)] == ["text", "custom:other"]
