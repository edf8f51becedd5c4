"""What a group of changes remembers on SQLite is what it would read, whoever else has written in between."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from conversation_kit import ConversationKit, ConversationKitError, HostAuthenticator, HostClient
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.queries.rows import caller_of, conversation_of, member_of
from tests.support.sql_probes import database_of, engine_of, is_nothing_remembered, sql_storage_of, statements_of

pytestmark = pytest.mark.anyio
APP = "app"
USERS = ("ana", "max", "zoe")
SEEDS = 8
STEPS = 60


def compare(storage: SQLStorage) -> int:
    """Compare what is remembered, if it holds now, with the database; how many rows that were. It is remembered as before."""
    database, statements = database_of(storage), statements_of(storage)
    compared = 0
    with database.writing() as connection:
        scenes = database.note
        for a, working in scenes.items():
            rooms = statements.lock_conversations.rows(connection, sorted((id,) for id in working.conversations), a)
            assert working.conversations == {row[1]: conversation_of(row) for row in rows_once(rooms)}
            users, members = {}, {}
            for row in statements.callers.rows(connection, sorted(working.asked), a):
                user, member = caller_of(row)
                users[user.name] = user
                if member is not None:
                    members[member.conversation_id, member.id] = member
            assert {name: working.callers.get(name) for name, _ in working.asked} == {name: users.get(name) for name, _ in working.asked}
            for row in statements.members_named.rows(connection, sorted(working.members), a):
                found = member_of(row)
                members[found.conversation_id, found.id] = found
            assert working.members == members
            compared += len(working.conversations) + len(working.members) + len(working.asked)
    database.note = scenes
    return compared


def rows_once(rows: list[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    return iter(dict.fromkeys(rows))


@asynccontextmanager
async def opened(url: str, count: int) -> AsyncIterator[list[ConversationKit]]:
    async with AsyncExitStack() as stack:
        kits = []
        for _ in range(count):
            kit = ConversationKit(storage=SQLStorage(url), auth=HostAuthenticator(lambda scope: None), application_id=APP)
            await stack.enter_async_context(kit.lifespan())
            kits.append(kit)
        yield kits


class Hosts:
    """Does something at random by one of several storages on one file, or in a transaction of the host's."""

    def __init__(self, url: str, kits: list[ConversationKit], random: random.Random) -> None:
        self.kits = kits
        self.random = random
        self.engine = create_engine(url, poolclass=NullPool)
        self.rooms: list[str] = []
        self.names = 0

    def name(self) -> str:
        self.names += 1
        return f"name {self.names}"

    async def step(self) -> None:
        choice = self.random.random()
        if choice < 0.15:
            with Session(self.engine) as session:
                async with self.kits[0].using(session) as chat:
                    await self.do(chat)
                if self.random.random() < 0.5:
                    session.commit()
        elif choice < 0.3:
            async with anyio.create_task_group() as group:
                kit = self.random.choice(self.kits)
                for _ in range(5):
                    group.start_soon(self.do, kit)
        else:
            await self.do(self.random.choice(self.kits))

    async def do(self, kit: HostClient) -> None:
        room, who = self.random.choice(self.rooms), self.random.choice(USERS)
        with suppress(ConversationKitError):  # such as a message of somebody who is no member: it writes nothing
            await self.act(kit, self.random.random(), room, who)

    async def act(self, kit: HostClient, choice: float, room: str, who: str) -> None:
        if choice < 0.6:
            await kit.as_user(who).events.create(room, "text", {"text": "hello"})
        elif choice < 0.7:
            await kit.members.join(room, user_name=who)
        elif choice < 0.77:
            members = await kit.members.list(room)
            if members.items:
                await kit.members.remove(room, self.random.choice(members.items).id)
        elif choice < 0.83:
            await kit.conversations.update(room, display_name=self.name())
        elif choice < 0.88:
            await kit.users.update((await kit.users.named(who)).id, display_name=self.name())
        elif choice < 0.93:
            await kit.as_user(who).events.create(room, "text:seen", {"event_id": 1})
        elif choice < 0.96:
            await kit.events.delete(room, 1)
        else:
            self.rooms.append((await kit.conversations.create(self.name())).id)
            await kit.conversations.delete(room)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_what_is_remembered_is_what_the_database_has(tmp_path: Path, seed: int) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    async with opened(url, 2) as kits:
        hosts = Hosts(url, kits, random.Random(seed))
        for who in USERS:
            await kits[0].users.create(who)
        for number in range(3):
            hosts.rooms.append((await kits[0].conversations.create(f"room {number}")).id)
            await kits[0].members.join(hosts.rooms[-1], user_name="ana")
        compared = 0
        for _ in range(STEPS):
            await hosts.step()
            for kit in kits:
                assert isinstance(kit.storage, SQLStorage)
                compared += await anyio.to_thread.run_sync(compare, kit.storage)
        assert compared > STEPS, "Nothing was remembered that could have been compared."


@contextmanager
def heard(kit: ConversationKit) -> Iterator[list[str]]:
    """The statements of the connection that writes."""
    ran: list[str] = []
    with database_of(sql_storage_of(kit)).writing() as connection:
        driver = connection.connection.driver_connection
    assert driver is not None
    with ExitStack() as stack:
        driver.set_trace_callback(ran.append)
        stack.callback(driver.set_trace_callback, None)
        yield ran


async def test_a_second_message_looks_nothing_up_and_a_foreign_write_makes_it_look_again(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/chat.db", 2) as (kit, other):
        await kit.users.create("ana")
        room = (await kit.conversations.create("room")).id
        await kit.members.join(room, user_name="ana")
        with heard(kit) as ran:
            for looks in (2, 0, 0):
                ran.clear()
                await kit.as_user("ana").events.create(room, "text", {"text": "hello"})
                assert len([statement for statement in ran if statement.startswith("SELECT")]) == looks
            await other.as_user("ana").events.create(room, "text", {"text": "hello"})
            for looks in (2, 0):
                ran.clear()
                await kit.as_user("ana").events.create(room, "text", {"text": "hello"})
                assert len([statement for statement in ran if statement.startswith("SELECT")]) == looks
        assert [event.id for event in await kit.events.list(room)] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_message_writes_numbers_of_its_conversation_and_of_its_sender_and_its_event(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/chat.db", 1) as (kit,):
        await kit.users.create("ana")
        room = (await kit.conversations.create("room")).id
        member = await kit.members.join(room, user_name="ana")
        with heard(kit) as ran:
            await kit.as_user("ana").events.create(room, "text", {"text": "hello"})
        written = [statement for statement in ran if statement.startswith(("UPDATE", "INSERT"))]
        assert [statement.replace("conversation_kit_", "") for statement in written[:2]] == [
            "UPDATE conversation SET sequence_number=2, messages=1 "
            f"WHERE conversation.application_id = 'app' AND conversation.id IN ('{room}')",
            "UPDATE member SET seen=2, seen_messages=1 "
            f"WHERE member.application_id = 'app' AND member.conversation_id = '{room}' AND member.id = '{member.id}'",
        ]
        assert [statement.partition(" (")[0] for statement in written[2:]] == ["INSERT INTO conversation_kit_event"]


async def test_a_write_that_failed_leaves_nothing_to_remember(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/chat.db", 1) as (kit,):
        await kit.users.create("ana")
        room = (await kit.conversations.create("room")).id
        await kit.members.join(room, user_name="ana")
        await kit.as_user("ana").events.create(room, "text", {"text": "hello"})
        engine = engine_of(storage := sql_storage_of(kit))

        def fail(connection: object) -> None:
            raise RuntimeError("before the commit")

        event.listen(engine, "commit", fail)
        with pytest.raises(RuntimeError):
            await kit.as_user("ana").events.create(room, "text", {"text": "lost"})
        event.remove(engine, "commit", fail)
        assert is_nothing_remembered(storage)
        await kit.as_user("ana").events.create(room, "text", {"text": "hello again"})
        assert [event.id for event in await kit.events.list(room)] == [1, 2, 3]
