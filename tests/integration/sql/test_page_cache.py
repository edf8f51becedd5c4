"""Pages that are remembered are always those that the database has."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from conversation_kit import ConversationKit, EventRange, Forbidden, HostAuthenticator, NotFound
from conversation_kit.domain.events import EventPage
from conversation_kit.domain.models import Receipt, ReceiptKind
from conversation_kit.domain.reading import Access
from conversation_kit.domain.values.times import now
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.queries.page_cache import MAX_LATEST, PageCache
from tests.support.databases import fresh
from tests.support.sql_probes import size_of
from tests.support.world import make_kit as a_kit_with_tokens
from tests.support.world import open_world

ANY_RANGE = st.builds(
    EventRange,
    size=st.integers(1, 12),
    index=st.integers(0, 3),
    descending=st.booleans(),
    start_id=st.none() | st.integers(1, 12),
    end_id=st.none() | st.integers(1, 12),
)
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["post", "post elsewhere", "delete", "seen", "seen elsewhere", "roll back", "read"]), st.integers(1, 12)),
    max_size=12,
)
QUIET = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def make_kit(url: str) -> ConversationKit:
    return ConversationKit(storage=SQLStorage(url), auth=HostAuthenticator(lambda scope: None))


class Rooms:
    """One database with two kits on it: what the first one remembers is compared with what a storage without memory reads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.kit, self.other = make_kit(url), make_kit(url)
        self.plain = SQLStorage(url, plain=True)
        self.engine = create_engine(url)

    async def __aenter__(self) -> Rooms:
        await self.kit.start()
        await self.other.start()
        await self.plain.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.plain.close()
        await self.other.stop()
        await self.kit.stop()
        self.engine.dispose()

    async def act(self, action: str, number: int, room: str, member: str) -> None:
        kit = self.other if "elsewhere" in action else self.kit
        with suppress(NotFound, Forbidden):  # there is no such event yet, or it is one that cannot be deleted
            match action.partition(" ")[0]:
                case "post":
                    await kit.events.create(room, "text", {"text": str(number)}, sender=member)
                case "seen":
                    await kit.events.create(room, "text:seen", {"event_id": number}, sender=member)
                case "delete":
                    await kit.events.delete(room, number)
                case "roll":
                    with Session(self.engine) as session:
                        async with self.kit.using(session) as chat:
                            await chat.events.create(room, "text", {"text": "never"}, sender=member)
                            assert (await chat.events.page(room)).events()[-1].body == {"text": "never"}
                            session.rollback()

    async def page(self, room: str, wanted: EventRange) -> EventPage:
        page = await self.kit.events.page(room, wanted)
        access = Access("default", now())
        assert page == await self.plain.list_events(access, room, wanted)
        return page


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_remembered_is_what_the_database_has_whatever_happened_meanwhile(database: str, backend: str, tmp_path: Path) -> None:
    async def play(rooms: Rooms, actions: list[tuple[str, int]], wanted: list[EventRange]) -> None:
        user = await rooms.kit.users.create()
        room = await rooms.kit.conversations.create()
        member = await rooms.kit.members.join(room.id, user_id=user.id)
        for action, number in actions:
            await rooms.act(action, number, room.id, member.id)
            for one in wanted:
                await rooms.page(room.id, one)

    with (
        fresh(database, tmp_path) as url,
        start_blocking_portal(backend) as portal,
        portal.wrap_async_context_manager(Rooms(url)) as rooms,
    ):

        @QUIET
        @given(actions=ACTIONS, wanted=st.lists(ANY_RANGE, min_size=1, max_size=3))
        def check(actions: list[tuple[str, int]], wanted: list[EventRange]) -> None:
            portal.call(play, rooms, actions, wanted)

        check()


@pytest.mark.anyio
async def test_a_page_is_read_from_the_log_once_until_something_happens(tmp_path: Path) -> None:
    async with Rooms(f"sqlite:///{tmp_path}/chat.db") as rooms:
        room = (await rooms.kit.conversations.create()).id
        wanted = EventRange(descending=True)
        await rooms.kit.events.create(room, "custom:x")
        first = await rooms.page(room, wanted)
        assert await rooms.page(room, wanted) is first
        assert await rooms.page(room, EventRange()) is not first
        await rooms.other.events.create(room, "custom:x")
        second = await rooms.page(room, wanted)
        assert list(second.ids) == [2, 1]
        assert await rooms.page(room, wanted) is second


@pytest.mark.anyio
async def test_who_may_not_read_a_page_does_not_get_what_others_have_read(tmp_path: Path) -> None:
    async with Rooms(f"sqlite:///{tmp_path}/chat.db") as rooms:
        kit = rooms.kit
        room = (await kit.conversations.create()).id
        for name in ("ana", "max"):
            await kit.users.create(name)
        member = await kit.members.join(room, user_name="ana")
        page = await kit.as_user("ana").events.page(room)
        assert await kit.as_user("ana").events.page(room) is page
        with pytest.raises(NotFound):
            await kit.as_user("max").events.page(room)
        with pytest.raises(NotFound):
            await kit.application("other").events.page(room)
        await kit.members.remove(room, member.id)
        with pytest.raises(NotFound):
            await kit.as_user("ana").events.page(room)


@pytest.mark.anyio
async def test_an_answer_that_is_given_again_has_the_hrefs_of_who_asks_and_the_receipts_of_now(tmp_path: Path) -> None:
    async with open_world(a_kit_with_tokens(f"sqlite:///{tmp_path}/chat.db")) as world:
        said = await world.say()

        async def read(host: str) -> list[dict[str, Any]]:
            events: list[dict[str, Any]] = await world.json("GET", f"{world.path}/events", headers={"Host": host})
            assert [event["href"].split("/beta")[0] for event in events] == [f"http://{host}"] * len(events)
            return events

        before = [await read(host) for host in ("one.test", "two.test", "one.test", "one.test")]
        assert before[0] == before[2] == before[3]
        assert not any("state" in event for event in before[0])
        seen = {"type": "text:seen", "body": {"event_id": said}}
        await world.json("POST", f"{world.path}/events", "max", status=201, json=seen)
        for host in ("one.test", "one.test", "two.test"):
            assert [event["id"] for event in await read(host) if "state" in event] == [said]


def a_page(text: str) -> EventPage:
    return EventPage("a", "c", [1], text)


def test_the_memory_is_bounded_and_forgets_what_nobody_asked_for_longest() -> None:
    memory = PageCache(3000)
    keys: list[Any] = [("a", f"c{number}", EventRange()) for number in range(4)]
    for key in keys[:3]:
        memory.keep(key, a_page("x" * 400), "last")
    assert memory.find(keys[0]) is not None
    memory.keep(keys[3], a_page("x" * 400), "last")
    assert [memory.find(key) is not None for key in keys] == [True, False, True, True]
    memory.keep(keys[0], a_page("x" * 5000), "last")
    assert [memory.find(key) is not None for key in keys] == [False] * 4
    assert size_of(memory) == 0


def test_receipts_take_room_in_the_memory_too() -> None:
    receipts = [Receipt("CON-1", 1, f"MEM-{number}", ReceiptKind.SEEN, now(), number) for number in range(10)]
    memory = PageCache(3000)
    key: Any = ("a", "c", EventRange())
    memory.keep(key, EventPage("a", "c", [1], "x", {1: receipts}), "x")
    assert memory.find(key) is None


def test_a_last_event_that_is_long_is_not_sent_along_with_every_read() -> None:
    memory = PageCache()
    key: Any = ("a", "c", EventRange())
    memory.keep(key, a_page("x"), "x" * (MAX_LATEST + 1))
    assert memory.find(key) is None
