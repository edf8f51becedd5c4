"""A user's feed when something comes between: rights that are missing, readers that give up or are slow, channels that are left."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from conversation_kit import AccessRequest, MemoryStorage, StorageUnavailable
from conversation_kit.domain.events import EventPage
from conversation_kit.domain.reading import Access, EventRange
from conversation_kit.live import buffer
from conversation_kit.services import streams
from tests.integration.live.rooms import places, room, say
from tests.integration.live.taking import take
from tests.support.world import make_kit, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not announced is not found."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
    monkeypatch.setattr("conversation_kit.live.dispatcher.MEMBERSHIPS_SECONDS", 3600)


@pytest.mark.parametrize("resumes", [False, True])
async def test_what_authorize_refuses_does_not_arrive_live_either(resumes: bool) -> None:
    secret: list[str] = []

    def authorize(request: AccessRequest) -> bool | None:
        return False if request.action == "events.list" and request.conversation_id in secret else None

    async with open_world(authorize=authorize) as world:
        secret.append(await room(world, "ana"))
        async with world.kit.as_user("ana").feed() as feed:
            cursor = feed.cursor
        async with world.kit.as_user("ana").feed(after=cursor if resumes else None) as feed:
            await say(world, secret[0])
            await say(world, world.conversation)
            events = await take(feed, 2)
            assert [(event.conversation_id, event.type) for event in events if event.id is None] == [(secret[0], "conversation:removed")]
            assert [(event.conversation_id, event.id) for event in events if event.id is not None] == [(world.conversation, 6)]


async def test_who_may_know_somebodys_conversations_does_not_for_that_read_them() -> None:
    def authorize(request: AccessRequest) -> bool | None:
        return True if request.action == "users.conversations" else None

    async with open_world(authorize=authorize) as world, world.kit.as_user("dee").feed(world.users["ana"]) as feed:
        await say(world, world.conversation)
        (event,) = await take(feed, 1)
        assert (event.type, event.conversation_id) == ("conversation:removed", world.conversation)


@pytest.mark.parametrize("method", ["newest_memberships", "list_events"])
async def test_who_stops_waiting_while_the_storage_is_asked_misses_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = anyio.Event()

    async def hang(*arguments: object) -> None:
        asked.set()
        await anyio.sleep_forever()

    async with open_world() as world, world.kit.as_user("ana").feed() as feed:
        second = await room(world, "ana")
        with monkeypatch.context() as patch:
            patch.setattr(MemoryStorage, method, hang)
            async with anyio.create_task_group() as group:
                group.start_soon(take, feed, 1)
                await asked.wait()
                group.cancel_scope.cancel()
        assert places(await take(feed, 1)) == [(second, 1)]


async def test_a_burst_beside_a_removal_does_not_end_the_feed() -> None:
    async with open_world() as world:
        second = await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            await world.kit.conversations.delete(second)
            for _ in range(buffer.MAX_EVENTS + 1):
                await say(world, world.conversation)
            (removed,) = await take(feed, 1)
            assert removed.type == "conversation:removed"
            assert [event.id for event in await take(feed, buffer.MAX_EVENTS + 1)] == list(range(6, 7 + buffer.MAX_EVENTS))


async def test_the_cursor_beside_a_removal_passes_over_nothing_that_was_put_back() -> None:
    async with open_world() as world:
        second = await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            await say(world, world.conversation)
            await world.kit.conversations.delete(second)
            for _ in range(buffer.MAX_EVENTS):
                await say(world, world.conversation)
            (removed,) = await take(feed, 1)
            assert removed.type == "conversation:removed"
            cursor = feed.cursor
        async with world.kit.as_user("ana").feed(after=cursor) as feed:
            events = [event for event in await take(feed, 2) if event.id is not None]
            assert places(events)[0] == (world.conversation, 6)


async def test_who_leaves_over_one_channel_of_two_misses_nothing_however_far_behind() -> None:
    async with open_world() as world:
        for number in range(150):
            await say(world, world.conversation, str(number))
        await world.kit.members.join(world.conversation, user_name="max", channel={"type": "phone"})
        async with world.kit.as_user("max").feed(after="0") as feed:
            events = await take(feed, 1)
            await world.kit.members.remove(world.conversation, world.members["max"])
            await say(world, world.conversation, "last")
            while events[-1].body.get("text") != "last":
                events += await take(feed, 1)
            assert [event.id for event in events] == [
                event.id for event in await world.kit.events.list(world.conversation, EventRange(size=1000, start_id=2))
            ]


async def test_an_invitation_that_is_not_in_sight_yet_is_looked_for_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a database has several servers, and the one that is asked lags behind."""
    lags = [True] * 3
    list_events = MemoryStorage.list_events

    async def lag(self: MemoryStorage, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        page = await list_events(self, access, conversation_id, wanted)
        return replace(page, ids=(), text="") if lags and lags.pop() else page

    async with open_world() as world, world.kit.as_user("dee").feed() as feed:
        monkeypatch.setattr(MemoryStorage, "list_events", lag)
        await world.kit.members.invite(world.conversation, user_name="dee")
        (event,) = await take(feed, 1)
        assert (event.type, event.id, lags) == ("member:invited", 6, [])


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_feed_that_does_not_come_to_begin_leaves_nothing(number: int, hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of its questions the storage does not answer."""
    asked: list[str] = []
    enough = anyio.Event()

    def fails(method: str) -> None:
        original = getattr(MemoryStorage, method)

        async def answer(*arguments: Any, **named: Any) -> Any:
            asked.append(method)
            if len(asked) - 1 == number:
                enough.set()
                if hangs:
                    await anyio.sleep_forever()
                raise StorageUnavailable("It is away.")
            return await original(*arguments, **named)

        monkeypatch.setattr(MemoryStorage, method, answer)

    async with open_world() as world:
        await room(world, "ana")
        fails("get_user")
        fails("newest_memberships")

        async def listen() -> None:
            with nullcontext() if hangs else pytest.raises(StorageUnavailable):
                async with world.kit.as_user("ana").feed(after="0"):
                    raise AssertionError("it has begun")

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await enough.wait()
            if hangs:
                assert world.kit.stats().event_loops == 1
                group.cancel_scope.cancel()
        assert not world.kit.stats().event_loops


async def test_a_conversation_that_had_to_make_room_begins_again_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_CONVERSATIONS", 2)
    async with open_world() as world:
        second = await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            third = await room(world, "ana")
            removed, told, joined = await take(feed, 3)
            assert (removed.type, removed.conversation_id) == ("conversation:removed", world.conversation)
            assert removed.body["code"] == "stream:error:left-out"
            assert told.body == {"count": 1, "conversation_ids": [world.conversation]}
            assert places([joined]) == [(third, 1)]
            (member,) = (await world.kit.members.list(second)).items
            await world.kit.members.remove(second, member.id)
            events = await take(feed, 8)
            assert [event.id for event in events if event.conversation_id == world.conversation] == [1, 2, 3, 4, 5]


async def test_an_admin_reads_no_further_in_a_users_feed_than_to_where_they_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(make_kit(url)) as world:
        other = make_kit(url)
        async with other.lifespan(), world.kit.feed(world.users["max"], after="0") as feed:
            await other.members.remove(world.conversation, world.members["max"])
            await other.events.create(world.conversation, "text", {"text": "after that"})
            events = await take(feed, 6)
            assert [(event.type, event.id) for event in events[-2:]] == [("member:left", 6), ("conversation:removed", None)]
