"""Whatever happens in a user's conversations, and wherever their feed is cut: it gives out what the logs hold since they came, once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit import Event, Feed, Member, RequestError
from conversation_kit.domain.models import MemberState
from tests.support.databases import fresh
from tests.support.world import World, make_kit, open_world

ROOMS = 3
PEOPLE = ("ana", "max")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(PEOPLE), st.integers(0, ROOMS - 1), st.sampled_from(["text", "custom:vote"])),
        st.tuples(st.just("type"), st.sampled_from(PEOPLE), st.integers(0, ROOMS - 1), st.just("text:typing:on")),
        st.tuples(st.just("join"), st.sampled_from(PEOPLE), st.integers(0, ROOMS - 1), st.sampled_from(["app", "sip"])),
        st.tuples(st.just("invite"), st.sampled_from(PEOPLE), st.integers(0, ROOMS - 1), st.sampled_from(["app", "phone"])),
        st.tuples(st.just("leave"), st.sampled_from(PEOPLE), st.integers(0, ROOMS - 1), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.just("max"), st.integers(0, ROOMS - 1), st.just("")),
        st.tuples(st.just("cut"), st.just(""), st.just(0), st.integers(0, 5)),
        st.tuples(st.just("read"), st.just(""), st.just(0), st.integers(1, 12)),
    ),
    max_size=30,
)


async def act(world: World, rooms: list[str], action: tuple[str, str, int, Any]) -> None:
    what, who, number, detail = action
    room = rooms[number]
    if what == "say":
        await world.kit.events.create(room, detail, {"text": "hello"})
    elif what == "type":
        await world.kit.as_user(who).events.create(room, detail, {"activity": 1})
    elif what == "join":
        await world.kit.members.join(room, user_name=who, channel={"type": detail})
    elif what == "invite":
        await world.kit.members.invite(room, user_name=who, channel={"type": detail})
    elif what == "leave":
        members = [member for member in (await world.kit.members.list(room)).items if member.user_name == who and member.is_active]
        if members:
            await world.kit.members.remove(room, members[detail % len(members)].id)
    else:
        await world.kit.conversations.delete(room)
        rooms[number] = (await world.kit.conversations.create()).id


class Client:
    """Reads ana's feed, comes again after every cut, and checks what it gets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cursor = "0"
        self.last: dict[str, int] = {}
        self.got: dict[str, dict[int, Event]] = {}

    async def read(self, feed: Feed, most: int) -> None:
        """Take so many events, or all that there have to be."""
        wanted = await wanted_of(self.world)
        while most and any(self.last.get(conversation_id, 0) < (events[-1].id or 0) for conversation_id, events in wanted.items()):
            self.take(await anext(feed), feed)
            most -= 1

    def take(self, event: Event, feed: Feed) -> None:
        self.cursor = feed.cursor
        if event.id is not None:
            assert event.id > self.last.get(event.conversation_id, 0), "doubled, or out of order"
            self.last[event.conversation_id] = event.id
            self.got.setdefault(event.conversation_id, {})[event.id] = event


async def wanted_of(world: World) -> dict[str, list[Event]]:
    """What ana has to have got at least: from each conversation since she came."""
    mine: dict[str, list[Member]] = {}
    for conversation, member in (await world.kit.users.conversations(world.users["ana"])).items:
        mine.setdefault(conversation.id, []).append(member)
    wanted = {}
    for conversation_id, members in mine.items():
        since = min(member.since for member in members)
        events = (await world.kit.events.list(conversation_id))[since - 1 :]
        wanted[conversation_id] = events if any(member.state is MemberState.JOINED for member in members) else events[:1]
    return wanted


async def check(url: str, actions: list[Any]) -> None:
    async with open_world(make_kit(url)) as world:
        rooms = [world.conversation, *[(await world.kit.conversations.create()).id for _ in range(ROOMS - 1)]]
        client, rest = Client(world), list(actions)
        with anyio.fail_after(30):
            while rest:
                async with world.kit.as_user("ana").feed(after=client.cursor) as feed:
                    client.cursor = feed.cursor
                    while rest:
                        action = rest.pop(0)
                        if action[0] == "cut":
                            break
                        if action[0] == "read":
                            await client.read(feed, action[3])
                            continue
                        try:
                            await act(world, rooms, action)
                        except RequestError:
                            continue  # refused, so nothing has happened
            wanted = await wanted_of(world)
            async with world.kit.as_user("ana").feed(after=client.cursor) as feed:
                await client.read(feed, 10_000)
        for conversation_id, events in wanted.items():
            got, since, last = client.got[conversation_id], events[0].id or 0, events[-1].id or 0
            log = await world.kit.events.list(conversation_id)
            ends = [event.id or 0 for event in log if event.type == "member:left" and event.body["user"]["id"] == world.users["ana"]]
            if last == len(log):
                assert [id for id in got if id >= since] == list(range(since, last + 1))
            else:  # who is invited gets that event, beside what was theirs before they left
                assert since in got
                assert all(id == since or id <= max(ends, default=0) for id in got)
            assert all(got[event.id or 0].data == event.data for event in events)


EXAMPLES = {"memory": 150, "sqlite": 30, "postgresql": 12, "mariadb": 8}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_feed_gives_out_what_its_conversations_hold_wherever_it_is_cut(
    kind: str, backend: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if kind != "memory":
        with fresh(kind, tmp_path_factory.mktemp("probe")):
            pass  # or the test is skipped, once
    with start_blocking_portal(backend) as portal:

        @settings(max_examples=EXAMPLES[kind], deadline=None, suppress_health_check=list(HealthCheck))
        @given(ACTIONS)
        def holds(actions: list[Any]) -> None:
            if kind == "memory":
                portal.call(check, "memory://", actions)
                return
            with fresh(kind, tmp_path_factory.mktemp("feed")) as url:
                portal.call(check, url, actions)

        holds()
