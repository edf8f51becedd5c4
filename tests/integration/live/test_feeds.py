"""A user's feed in process: every event of all their conversations once, from any cursor, for as long as they are theirs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conversation_kit import AccessRequest, ConfigurationError, Event, Feed, Forbidden, InvalidInput, MemoryBroker, NotFound, StreamEnded
from conversation_kit.live import buffer
from conversation_kit.live.cursors import Cursor
from conversation_kit.live.feeds import LEFT_OUT
from conversation_kit.services import streams
from tests.integration.live.rooms import places, room, say
from tests.support.probes import bus_of, until_heard, waiting_in
from tests.support.world import APP, World, make_kit, open_world

pytestmark = pytest.mark.anyio


async def take(feed: Feed, number: int) -> list[Event]:
    """The next events."""
    with anyio.fail_after(30):
        return [await anext(feed) for _ in range(number)]


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not announced is not found."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
    monkeypatch.setattr("conversation_kit.live.dispatcher.MEMBERSHIPS_SECONDS", 3600)


@pytest.mark.usefixtures("no_poll")
async def test_what_comes_in_any_of_the_conversations_arrives() -> None:
    async with open_world() as world:
        first, second = world.conversation, await room(world, "ana", "max")
        other = await room(world, "max")
        async with world.kit.as_user("ana").feed() as feed:
            for conversation in (first, second, other, first):
                await say(world, conversation)
            assert places(await take(feed, 3)) == [(first, 6), (second, 3), (first, 7)]
        assert not world.kit.stats().event_loops


async def test_from_the_beginning_each_membership_is_read_from_its_own_first_event() -> None:
    async with open_world() as world, world.kit.feed(world.users["max"], after="0") as feed:
        assert places(await take(feed, 4)) == [(world.conversation, id) for id in (2, 3, 4, 5)]


async def test_a_cursor_goes_on_in_every_conversation_where_it_was_and_doubles_nothing() -> None:
    async with open_world() as world:
        first, second = world.conversation, await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            await say(world, first)
            await say(world, second)
            assert places(await take(feed, 2)) == [(first, 6), (second, 2)]
            cursor = feed.cursor
            await say(world, first)
            await take(feed, 1)
            later = feed.cursor
        await say(world, second)
        third = await room(world, "ana")
        async with world.kit.as_user("ana").feed(after=cursor) as feed:
            assert sorted(places(await take(feed, 3))) == sorted([(first, 7), (second, 3), (third, 1)])
        async with world.kit.as_user("ana").feed(after=later) as feed:
            assert sorted(places(await take(feed, 2))) == sorted([(second, 3), (third, 1)])
            await say(world, first)
            assert places(await take(feed, 1)) == [(first, 8)]


async def test_the_cursor_at_the_start_misses_nothing_that_comes_before_the_first_event() -> None:
    async with open_world() as world:
        async with world.kit.as_user("ana").feed() as feed:
            cursor = feed.cursor
        await say(world, world.conversation)
        async with world.kit.as_user("ana").feed(after=cursor) as feed:
            assert places(await take(feed, 1)) == [(world.conversation, 6)]


@pytest.mark.usefixtures("no_poll")
async def test_an_invitation_arrives_and_what_was_said_since_once_it_is_taken() -> None:
    async with open_world() as world, world.kit.as_user("dee").feed() as feed:
        invited = await world.kit.as_user("ana").members.invite(world.conversation, user_name="dee")
        await say(world, world.conversation, "not for who is invited only")
        (event,) = await take(feed, 1)
        assert (event.type, event.id) == ("member:invited", 6)
        await world.kit.as_user("dee").members.join(world.conversation, member_id=invited.id)
        assert [event.type for event in await take(feed, 2)] == ["text", "member:joined"]
        await say(world, world.conversation)
        assert places(await take(feed, 1)) == [(world.conversation, 9)]


async def test_an_invitation_is_told_of_once_however_often_the_feed_is_opened() -> None:
    async with open_world() as world:
        cursor = "0"
        async with world.kit.as_user("bo").feed(after=cursor) as feed:
            assert places(await take(feed, 1)) == [(world.conversation, 4)]
            cursor = feed.cursor
        async with world.kit.as_user("bo").feed(after=cursor) as feed:
            await room(world, "bo")
            (event,) = await take(feed, 1)
            assert (event.type, event.id) == ("member:joined", 1)


@pytest.mark.usefixtures("no_poll")
async def test_a_conversation_that_is_joined_begins_with_that() -> None:
    async with open_world() as world, world.kit.as_user("dee").feed() as feed:
        member = await world.kit.members.join(world.conversation, user_name="dee")
        await say(world, world.conversation)
        events = await take(feed, 2)
        assert [event.type for event in events] == ["member:joined", "text"]
        assert events[0].body["member_id"] == member.id


@pytest.mark.usefixtures("no_poll")
async def test_who_leaves_sees_that_and_that_no_more_comes() -> None:
    async with open_world() as world:
        second = await room(world, "max")
        async with world.kit.as_user("max").feed() as feed:
            await world.kit.members.remove(world.conversation, world.members["max"])
            await say(world, world.conversation)
            left, removed = await take(feed, 2)
            assert (left.type, left.id) == ("member:left", 6)
            assert (removed.type, removed.id, removed.conversation_id) == ("conversation:removed", None, world.conversation)
            await say(world, second)
            assert places(await take(feed, 1)) == [(second, 2)]
            await world.kit.members.join(world.conversation, user_name="max")
            (joined,) = await take(feed, 1)
            assert (joined.type, joined.id) == ("member:joined", 8)
            await say(world, world.conversation)
            assert places(await take(feed, 1)) == [(world.conversation, 9)]


@pytest.mark.usefixtures("no_poll")
async def test_who_leaves_over_one_channel_of_two_goes_on() -> None:
    async with open_world() as world:
        phone = await world.kit.members.join(world.conversation, user_name="max", channel={"type": "phone"})
        async with world.kit.as_user("max").feed() as feed:
            await world.kit.members.remove(world.conversation, phone.id)
            await say(world, world.conversation)
            assert [event.type for event in await until(feed, "text")][-2:] == ["member:left", "text"]
        async with world.kit.as_user("max").feed(after="0") as feed:
            assert (await until(feed, "member:left"))[0].id == 2


@pytest.mark.usefixtures("no_poll")
async def test_a_declined_invitation_is_gone() -> None:
    async with open_world() as world, world.kit.as_user("bo").feed() as feed:
        await world.kit.as_user("bo").members.remove(world.conversation, world.members["bo"])
        (removed,) = await take(feed, 1)
        assert (removed.type, removed.conversation_id) == ("conversation:removed", world.conversation)


@pytest.mark.usefixtures("no_poll")
async def test_of_a_deleted_conversation_no_more_comes() -> None:
    async with open_world() as world:
        second = await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            await world.kit.conversations.delete(world.conversation)
            (removed,) = [event for event in await until(feed, "conversation:removed") if event.type == "conversation:removed"]
            assert removed.conversation_id == world.conversation
            await say(world, second)
            assert places(await take(feed, 1)) == [(second, 2)]


async def until(feed: Feed, type: str) -> list[Event]:
    events = await take(feed, 1)
    while events[-1].type != type:
        events += await take(feed, 1)
    return events


async def test_what_went_while_nobody_listened_is_counted() -> None:
    async with open_world() as world:
        second, third = await room(world, "ana"), await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            cursor = feed.cursor
        await world.kit.conversations.delete(second)
        await world.kit.conversations.delete(third)
        async with world.kit.as_user("ana").feed(after=cursor) as feed:
            (event,) = await take(feed, 1)
            assert (event.type, event.conversation_id, event.body) == ("conversation:removed", "", {"count": 2})
            cursor = feed.cursor
        async with world.kit.as_user("ana").feed(after=cursor) as feed:
            await say(world, world.conversation)
            assert places(await take(feed, 1)) == [(world.conversation, 6)]


@pytest.mark.parametrize("after", ["", "1", "5", "AAAA", "0 ", "ä", "x" * 5000, 3, True])
async def test_what_is_no_cursor_is_refused(after: Any) -> None:
    async with open_world() as world:
        with pytest.raises(InvalidInput) as refused:
            async with world.kit.as_user("ana").feed(after=after):
                pass
        assert refused.value.code == "event:error:invalid-cursor"
        assert not world.kit.stats().event_loops


async def test_cursors_of_somebody_else_and_of_the_future_are_refused() -> None:
    async with open_world() as world:
        async with world.kit.as_user("max").feed() as feed:
            with pytest.raises(InvalidInput):
                async with world.kit.as_user("ana").feed(after=feed.cursor):
                    pass
        future = Cursor(APP, world.users["ana"])
        for position, is_good in ((5, True), (6, False)):
            future.move(world.conversation, position)
            with nullcontext() if is_good else pytest.raises(InvalidInput):
                async with world.kit.as_user("ana").feed(after=future.text):
                    pass


async def test_users_have_their_own_feed_and_admins_everybodys() -> None:
    async with open_world() as world:
        with pytest.raises(Forbidden):
            async with world.kit.as_user("ana").feed(world.users["max"]):
                pass
        for who, error in ((world.kit.host, NotFound), (world.kit.as_user("ana"), Forbidden)):
            with pytest.raises(error):
                async with who.feed("USR-nobody"):
                    pass
        with pytest.raises(ConfigurationError):
            async with world.kit.host.feed():
                pass
        async with world.kit.feed(world.users["ana"]) as feed:
            await say(world, world.conversation)
            assert places(await take(feed, 1)) == [(world.conversation, 6)]
        assert not world.kit.stats().event_loops


async def test_the_feed_of_a_user_that_is_deleted_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.live.dispatcher.MEMBERSHIPS_SECONDS", 0.0)
    async with open_world() as world, world.kit.feed(world.users["ana"]) as feed:
        await world.kit.users.delete(world.users["ana"])
        with pytest.raises(StreamEnded) as ended:
            await until(feed, "never")
        assert ended.value.code == "user:error:not-found"


@pytest.mark.usefixtures("no_poll")
async def test_one_conversation_that_may_not_be_read_does_not_end_the_others() -> None:
    forbidden: list[str] = []

    def authorize(request: AccessRequest) -> bool | None:
        return False if request.action == "events.list" and request.conversation_id in forbidden else None

    async with open_world(authorize=authorize) as world:
        second = await room(world, "ana")
        async with world.kit.as_user("ana").feed(after="0") as feed:
            forbidden.append(second)
            events = await take(feed, 6)
            assert [event.id for event in events if event.conversation_id == world.conversation] == [1, 2, 3, 4, 5]
            (removed,) = [event for event in events if event.conversation_id == second]
            assert (removed.type, removed.body["code"]) == ("conversation:removed", "system:error:permission")
            await say(world, world.conversation)
            assert places(await take(feed, 1)) == [(world.conversation, 6)]


@pytest.mark.usefixtures("no_poll")
async def test_typing_arrives_without_an_id_and_moves_no_cursor() -> None:
    async with open_world() as world, world.kit.as_user("max").feed() as feed:
        cursor = feed.cursor
        await world.kit.as_user("ana").events.create(world.conversation, "text:typing:on")
        (event,) = await take(feed, 1)
        assert (event.type, event.id, event.conversation_id) == ("text:typing:on", None, world.conversation)
        assert feed.cursor == cursor


@pytest.mark.usefixtures("no_poll")
async def test_a_burst_that_finds_no_room_is_read_from_the_log_and_nothing_of_it_is_lost_or_doubled() -> None:
    async with open_world() as world:
        conversations = [world.conversation, await room(world, "ana"), await room(world, "ana")]
        async with world.kit.as_user("ana").feed() as feed:
            for _ in range(buffer.MAX_EVENTS):
                for conversation in conversations:
                    await say(world, conversation)
                    assert len(waiting_in(feed)) <= buffer.MAX_EVENTS
            events = await take(feed, 3 * buffer.MAX_EVENTS)
            for conversation, first in zip(conversations, (6, 2, 2), strict=True):
                ids = [event.id for event in events if event.conversation_id == conversation]
                assert ids == list(range(first, first + buffer.MAX_EVENTS))


async def test_what_a_burst_leaves_no_room_for_is_before_the_cursor_of_a_removal() -> None:
    async with open_world() as world:
        other = await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            await say(world, world.conversation)
            await world.kit.conversations.delete(other)
            for _ in range(buffer.MAX_EVENTS):
                await say(world, world.conversation)
            assert [event.type for event in await take(feed, 1)] == ["conversation:removed"]
        async with world.kit.as_user("ana").feed(after=feed.cursor) as feed:
            assert [event.id for event in await take(feed, 3) if event.id is not None][:2] == [6, 7]


async def test_a_feed_that_is_never_read_is_ended_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "PATIENCE", 0.0)
    async with open_world() as world:
        async with world.kit.as_user("ana").feed() as feed:
            await say(world, world.conversation)
            await take(feed, 1)
            for _ in range(buffer.MAX_EVENTS + 1):
                await say(world, world.conversation)
            with pytest.raises(StreamEnded) as ended:
                await take(feed, 1)
            assert ended.value.code == "stream:error:too-slow"
            cursor = feed.cursor
        async with world.kit.as_user("ana").feed(after=cursor) as feed:
            assert [event.id for event in await take(feed, buffer.MAX_EVENTS + 1)] == list(range(7, 8 + buffer.MAX_EVENTS))


@pytest.mark.parametrize("has_broker", [True, False])
async def test_what_other_processes_do_arrives(has_broker: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kits on one file stand for two processes: they share nothing but the file, and maybe a broker."""
    broker = MemoryBroker() if has_broker else None
    if has_broker:
        monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
        monkeypatch.setattr("conversation_kit.live.dispatcher.MEMBERSHIPS_SECONDS", 3600)
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(make_kit(url, broker=broker)) as world:
        other = make_kit(url, broker=broker)
        async with other.lifespan(), world.kit.as_user("dee").feed() as feed:
            await checkpoint()
            with anyio.fail_after(30):
                await listens(world)
            member = await other.members.join(world.conversation, user_name="dee")
            await other.events.create(world.conversation, "text", {"text": "hello"})
            assert places(await take(feed, 2)) == [(world.conversation, 6), (world.conversation, 7)]
            await other.members.remove(world.conversation, member.id)
            assert [event.type for event in await take(feed, 2)] == ["member:left", "conversation:removed"]


async def test_a_membership_that_ended_and_began_again_elsewhere_goes_on_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what the other process did only the memberships are noticed in time, and not the log."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(make_kit(url)) as world:
        other = make_kit(url)
        async with other.lifespan(), world.kit.feed(world.users["max"]) as feed:
            await other.members.remove(world.conversation, world.members["max"])
            again = await other.members.invite(world.conversation, user_name="max")
            await other.events.create(world.conversation, "text", {"text": "not for who is invited only"})
            (invited,) = await take(feed, 1)
            assert (invited.type, invited.id) == ("member:invited", 7)
            await other.members.join(world.conversation, member_id=again.id)
            assert [(event.type, event.id) for event in await take(feed, 2)] == [("text", 8), ("member:joined", 9)]


async def test_who_leaves_elsewhere_gets_what_was_said_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what the other process did the memberships are noticed first."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(make_kit(url)) as world:
        other = make_kit(url)
        async with other.lifespan(), world.kit.as_user("max").feed() as feed:
            await other.events.create(world.conversation, "text", {"text": "before that"})
            await other.members.remove(world.conversation, world.members["max"])
            await other.events.create(world.conversation, "text", {"text": "after that"})
            events = await take(feed, 3)
            assert [event.type for event in events] == ["text", "member:left", "conversation:removed"]
            assert events[0].body == {"text": "before that"}


async def test_a_cursor_goes_on_where_it_was_though_the_membership_of_then_has_ended() -> None:
    async with open_world() as world:
        async with world.kit.as_user("max").feed() as feed:
            cursor = feed.cursor
        await say(world, world.conversation)
        await world.kit.members.join(world.conversation, user_name="max", channel={"type": "phone"})
        await say(world, world.conversation)
        await world.kit.members.remove(world.conversation, world.members["max"])
        await say(world, world.conversation)
        last = len(await world.kit.events.list(world.conversation))
        async with world.kit.as_user("max").feed(after=cursor) as feed:
            assert [event.id for event in await take(feed, last - 5)] == list(range(6, last + 1))


async def test_a_cursor_goes_on_to_where_its_user_left_and_then_from_where_they_came_again() -> None:
    async with open_world() as world:
        async with world.kit.as_user("max").feed() as feed:
            cursor = feed.cursor
        await say(world, world.conversation)
        await world.kit.members.remove(world.conversation, world.members["max"])
        await say(world, world.conversation, "while max was away")
        await world.kit.members.join(world.conversation, user_name="max")
        await say(world, world.conversation)
        async with world.kit.as_user("max").feed(after=cursor) as feed:
            assert [event.id for event in await take(feed, 4)] == [6, 7, 9, 10]


async def test_an_admin_sees_no_more_of_a_conversation_in_a_users_feed_than_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what the other process did only the log is noticed in time, and not the memberships."""
    monkeypatch.setattr("conversation_kit.live.dispatcher.MEMBERSHIPS_SECONDS", 3600)
    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(make_kit(url)) as world:
        other = make_kit(url)
        async with other.lifespan(), world.kit.feed(world.users["max"]) as feed:
            second = await room(world, "max")
            await take(feed, 1)
            await other.members.remove(world.conversation, world.members["max"])
            await other.events.create(world.conversation, "text", {"text": "after that"})
            assert [event.type for event in await take(feed, 2)] == ["member:left", "conversation:removed"]
            await say(world, second)
            assert places(await take(feed, 1)) == [(second, 2)]


async def listens(world: World) -> None:
    """Return when the broker, if there is one, is heard."""
    broker = bus_of(world.kit).broker
    if isinstance(broker, MemoryBroker):
        await until_heard(broker)


async def test_who_is_in_more_conversations_than_a_feed_follows_gets_those_that_were_made_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_CONVERSATIONS", 2)
    async with open_world() as world:
        rooms = [await room(world, "ana") for _ in range(2)]
        async with world.kit.as_user("ana").feed() as feed:
            for conversation in (world.conversation, *rooms):
                await say(world, conversation)
            told, *said = await take(feed, 3)
            assert (told.type, told.id) == (LEFT_OUT, None)
            assert told.body == {"count": 1, "conversation_ids": [world.conversation]}
            assert places(said) == [(conversation, 2) for conversation in rooms]


async def test_invitations_never_push_out_what_a_user_is_joined_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_CONVERSATIONS", 3)
    monkeypatch.setattr(streams, "MAX_MEMBERSHIPS", 4)
    async with open_world() as world:
        second = await room(world, "ana")
        async with world.kit.as_user("ana").feed() as feed:
            rooms = [await room(world, "max") for _ in range(5)]
            for conversation in rooms:
                await world.kit.as_user("max").members.invite(conversation, user_name="ana")
            for conversation in (world.conversation, second):
                await say(world, conversation)
            got: dict[str | None, list[Event]] = {}
            while len([event for id in (world.conversation, second) for event in got.get(id, ())]) < 2:
                (event,) = await take(feed, 1)
                got.setdefault(event.conversation_id, []).append(event)
            assert [[event.type for event in got[id]] for id in (world.conversation, second)] == [["text"], ["text"]]
        async with world.kit.as_user("ana").feed() as feed:
            (told,) = await take(feed, 1)
            # The fifth invitation is beyond what is looked at.
            assert told.body == {"count": 4, "conversation_ids": [rooms[3]]}
            await world.kit.as_user("ana").members.join(rooms[0])
            events = await take(feed, 4)
            assert (events[0].type, events[0].conversation_id) == ("conversation:removed", rooms[4])
            assert events[1].body == {"count": 4, "conversation_ids": [rooms[4]]}
            assert places(events[2:]) == [(rooms[0], 2), (rooms[0], 3)]


async def test_a_client_asks_for_what_a_feed_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_CONVERSATIONS", 2)
    async with open_world() as world:
        rooms = [world.conversation, *[await room(world, "ana") for _ in range(3)]]
        async with world.kit.as_user("ana").feed() as feed:
            (told,) = await take(feed, 1)
        left_out = told.body["conversation_ids"]
        assert left_out == [rooms[1], rooms[0]]
        async with world.kit.as_user("ana").feed(after="0", conversations=[*left_out, "CON-none"]) as feed:
            for conversation in rooms:
                await say(world, conversation)
            events = await take(feed, 8)
            assert {event.conversation_id for event in events} == set(left_out)
            cursor = feed.cursor
        async with world.kit.as_user("ana").feed(after=cursor, conversations=left_out[:1]) as feed:
            await say(world, rooms[1], "more")
            assert places(await take(feed, 1)) == [(rooms[1], 3)], "what was not asked for has not gone"
        with pytest.raises(InvalidInput, match="may name 100"):
            world.kit.as_user("ana").feed(conversations=["CON-1"] * 101)


async def test_a_feed_inside_a_transaction_is_refused(tmp_path: Path) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    url = f"sqlite:///{tmp_path}/chat.db"
    async with open_world(make_kit(url)) as world:
        engine = create_engine(url)
        with Session(engine) as session:
            async with world.kit.using(session) as chat:
                with pytest.raises(ConfigurationError):
                    chat.as_user("ana").feed()
        engine.dispose()
