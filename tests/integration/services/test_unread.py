"""What is unread: the server's number is what anybody counts in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit import ConversationKit, Event, EventRange, MemberState, RequestError, unread
from tests.support.databases import fresh
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio

PEOPLE = ("ana", "max", "bo")
REGISTERED = ("shop:order", "audio:mute:on", "text:seen", "ephemeral")
"""A host may register what the API has as well; receipts and what is not kept are no messages all the same."""
SAID = ("text", "image", "message", "custom:vote", "shop:order", "audio:mute:on")
"""Messages; all else in the log is none."""
OTHER = ("message:submitted", "audio:play", "audio:mute:off", "video:mute:off", "text:typing:on", "ephemeral")
SEEN = ("text:seen", "image:seen", "message:seen", "event:seen")
DELIVERED = ("text:delivered", "image:delivered", "message:delivered", "event:delivered")
CHANNELS = ("app", "sip")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.sampled_from(PEOPLE), st.sampled_from(SAID)),
        st.tuples(st.just("post"), st.sampled_from(PEOPLE), st.sampled_from(OTHER)),
        st.tuples(st.just("announce"), st.just(""), st.sampled_from(SAID)),
        *[
            st.tuples(st.just("receive"), st.sampled_from(PEOPLE), st.tuples(st.sampled_from(kind), st.integers(1, 20)))
            for kind in (SEEN, SEEN, DELIVERED)
        ],
        *[st.tuples(st.just("delete"), st.just(""), st.integers(1, 20))] * 2,
        st.tuples(st.just("invite"), st.sampled_from(PEOPLE), st.sampled_from(CHANNELS)),
        st.tuples(st.just("join"), st.sampled_from(PEOPLE), st.sampled_from(CHANNELS)),
        st.tuples(st.just("leave"), st.sampled_from(PEOPLE), st.integers(0, 1)),
        st.tuples(st.just("rename"), st.just(""), st.just("")),
    ),
    min_size=5,
    max_size=40,
)


def pointers(log: list[Event]) -> dict[str, int]:
    """How far each member has read, found by reading the log from its beginning."""
    found: dict[str, int] = {}
    for event in log:
        assert event.id is not None
        if event.sender is None:
            continue
        seen = found.setdefault(event.sender, event.id)
        if event.type in SAID:
            found[event.sender] = event.id
        elif event.type in SEEN:
            found[event.sender] = max(seen, int(event.body["event_id"]))
    return found


async def act(kit: ConversationKit, room: str, action: tuple[str, str, Any]) -> None:
    what, who, detail = action
    if what in ("post", "receive"):
        type, target = detail if what == "receive" else (detail, None)
        members = [one for one in (await kit.members.list(room)).items if one.user_name == who and one.state is MemberState.JOINED]
        sender = members[len(type) % len(members)].id if members else None
        body = {"text": "hello"} if target is None else {"event_id": target}
        await kit.as_user(who).events.create(room, type, body, sender=sender)
    elif what == "announce":
        await kit.events.create(room, detail, {"text": "hello"})
    elif what == "delete":
        await kit.events.delete(room, detail)
    elif what == "invite":
        await kit.members.invite(room, user_name=who, channel={"type": detail})
    elif what == "join":
        await kit.members.join(room, user_name=who, channel={"type": detail})
    elif what == "leave":
        members = [one for one in (await kit.members.list(room)).items if one.user_name == who and one.is_active]
        if members:
            await kit.members.remove(room, members[detail % len(members)].id)
    else:
        room_now = await kit.conversations.get(room)
        await kit.conversations.update(room, name=f"{room_now.name}!")


async def check(url: str, actions: list[tuple[str, str, Any]]) -> None:
    kit = make_kit(url, event_types=REGISTERED)
    async with kit.lifespan():
        users = {name: (await kit.users.create(name)).id for name in PEOPLE}
        room = (await kit.conversations.create()).id
        for action in actions:
            try:
                await act(kit, room, action)
            except RequestError:
                continue  # refused, so nothing has happened
        log = await kit.events.list(room, EventRange(1000))
        messages = [event.id or 0 for event in log if event.type in SAID]
        left = [event.id or 0 for event in log if event.type in SAID and not event.is_deleted]
        known = pointers(log)
        for user_id in users.values():
            for conversation, member in (await kit.users.conversations(user_id)).items:
                assert member.seen == known[member.id]
                assert unread(conversation, member) == len([id for id in left if id > member.seen])
                assert log[member.since - 1].sender == member.id
                assert all(event.sender != member.id for event in log[: member.since - 1])
        assert (await kit.conversations.get(room)).messages == len(messages)


EXAMPLES = {"memory": 150, "sqlite": 50, "postgresql": 25, "mariadb": 10}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_is_unread_is_what_the_log_says(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if kind != "memory":
        with fresh(kind, tmp_path_factory.mktemp("probe")):
            pass  # or the test is skipped, once
    with start_blocking_portal() as portal:

        @settings(max_examples=EXAMPLES[kind], deadline=None, suppress_health_check=list(HealthCheck))
        @given(ACTIONS)
        def holds(actions: list[tuple[str, str, Any]]) -> None:
            if kind == "memory":
                portal.call(check, "memory://", actions)
                return
            with fresh(kind, tmp_path_factory.mktemp("unread")) as url:
                portal.call(check, url, actions)

        holds()


@dataclass
class Room:
    """A conversation that ``ana`` and ``max`` are joined in; nothing was said yet."""

    kit: ConversationKit
    id: str

    async def post(self, name: str, type: str = "text", **body: Any) -> int:
        """Post an event and return its id."""
        sender = next(one.id for one in (await self.kit.members.list(self.id)).items if one.user_name == name and one.is_active)
        return (await self.kit.as_user(name).events.create(self.id, type, body or {"text": "hello"}, sender=sender)).id or 0

    async def read_by(self, name: str) -> list[tuple[int, int]]:
        """Up to which event a user has read and how much is unread, for each of its memberships."""
        user = await self.kit.users.named(name)
        return [(member.seen, unread(conversation, member)) for conversation, member in (await self.kit.users.conversations(user.id)).items]


@asynccontextmanager
async def open_room() -> AsyncIterator[Room]:
    kit = make_kit()
    async with kit.lifespan():
        room = Room(kit, (await kit.conversations.create()).id)
        for name in PEOPLE:
            await kit.users.create(name)
        for name in ("ana", "max"):
            await kit.members.join(room.id, user_name=name)
        yield room


async def test_nothing_is_unread_at_first_and_then_what_the_others_say() -> None:
    async with open_room() as room:
        assert await room.read_by("ana") == [(1, 0)]
        await room.post("max", "audio:play", stream_url=["x"])
        await room.post("max", "text:typing:on")
        assert await room.read_by("ana") == [(1, 0)]
        last = [await room.post("max", type) for type in ("text", "image", "message", "custom:x")][-1]
        assert await room.read_by("ana") == [(1, 4)]
        assert await room.read_by("max") == [(last, 0)]
        await room.kit.events.create(room.id, "text", {"text": "from the host"})
        assert await room.read_by("ana") == [(1, 5)]
        assert await room.read_by("max") == [(last, 1)]


async def test_what_is_marked_as_seen_is_read_with_all_before_it_and_stays_so() -> None:
    async with open_room() as room:
        first, second, third = [await room.post("max") for _ in range(3)]
        await room.post("ana", "text:delivered", event_id=third)
        assert await room.read_by("ana") == [(1, 3)]
        await room.post("ana", "text:seen", event_id=second)
        assert await room.read_by("ana") == [(second, 1)]
        for kind, id in (("image:seen", first), ("event:seen", second), ("event:seen", 1)):
            await room.post("ana", kind, event_id=id)
            assert await room.read_by("ana") == [(second, 1)]
        receipt = await room.post("ana", "event:seen", event_id=third)
        assert await room.read_by("ana") == [(third, 0)]
        assert await room.post("max", "event:seen", event_id=receipt)
        assert await room.read_by("max") == [(receipt, 0)]


async def test_who_says_something_has_read_what_was_said_before() -> None:
    async with open_room() as room:
        await room.post("max")
        own = await room.post("ana", "custom:vote")
        assert await room.read_by("ana") == [(own, 0)]
        await room.post("max")
        await room.post("ana", "audio:mute:on")
        assert await room.read_by("ana") == [(own, 1)]


async def test_a_deleted_message_is_unread_no_more() -> None:
    async with open_room() as room:
        first, second = [await room.post("max") for _ in range(2)]
        await room.kit.events.delete(room.id, first)
        assert await room.read_by("ana") == [(1, 1)]
        await room.post("ana", "text:seen", event_id=second)
        await room.kit.events.delete(room.id, second)
        assert await room.read_by("ana") == [(second, 0)]
        await room.post("ana", "text:seen", event_id=first)
        assert await room.read_by("ana") == [(second, 0)]


async def test_an_invitation_is_where_reading_begins_and_accepting_it_reads_nothing() -> None:
    async with open_room() as room:
        await room.post("max")
        invited = await room.kit.members.invite(room.id, user_name="bo")
        assert await room.read_by("bo") == [(invited.since, 0)]
        await room.post("max")
        joined = await room.kit.members.join(room.id, member_id=invited.id)
        assert (joined.since, joined.seen) == (invited.since, invited.since)
        assert await room.read_by("bo") == [(invited.since, 1)]


async def test_each_membership_has_a_pointer_of_its_own_and_a_new_one_begins_anew() -> None:
    async with open_room() as room:
        await room.post("max")
        phone = await room.kit.members.join(room.id, user_name="ana", channel={"type": "phone", "number": "49"})
        assert await room.read_by("ana") == [(1, 1), (phone.since, 0)]
        await room.post("max")
        assert await room.read_by("ana") == [(1, 2), (phone.since, 1)]
        await room.kit.members.remove(room.id, phone.id)
        again = await room.kit.members.join(room.id, user_name="ana", channel={"type": "phone", "number": "49"})
        assert again.since > phone.since
        assert await room.read_by("ana") == [(1, 2), (again.since, 0)]
