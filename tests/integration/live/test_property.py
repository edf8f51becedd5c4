"""What a subscriber makes of a list and the live events after it is what the list says afterwards, whatever was done."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit import Event, RequestError, Subscription
from conversation_kit.decisions import bodies
from conversation_kit.domain.values.times import parse_instant
from tests.integration.live.connections import stream
from tests.support.databases import emptied
from tests.support.world import World, make_kit, open_world

PEOPLE = ("ana", "max", "bo", "cy")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(PEOPLE), st.sampled_from(["text", "image", "custom:vote"])),
        st.tuples(st.just("see"), st.sampled_from(PEOPLE), st.integers(1, 12)),
        st.tuples(st.just("type"), st.sampled_from(PEOPLE), st.sampled_from(["text:typing:on", "text:typing:off"])),
        st.tuples(st.just("mute"), st.sampled_from(PEOPLE), st.sampled_from(["audio:mute:on", "audio:earmuff:off"])),
        st.tuples(st.just("delete"), st.sampled_from(PEOPLE), st.integers(1, 12)),
        st.tuples(st.just("join"), st.sampled_from(PEOPLE), st.sampled_from(["app", "sip"])),
        st.tuples(st.just("invite"), st.sampled_from(PEOPLE), st.sampled_from(["app", "phone"])),
        st.tuples(st.just("leave"), st.sampled_from(PEOPLE), st.integers(0, 3)),
        st.tuples(st.just("rename"), st.just(""), st.text("abc", min_size=1, max_size=3)),
        st.tuples(st.just("leg"), st.just(""), st.sampled_from(["ringing", "answered", "completed"])),
    ),
    max_size=25,
)


def apply(log: dict[str, Any], event: dict[str, Any]) -> None:
    """What a client does with an event: keep it, and see what it means for an earlier one."""
    if "id" not in event:
        return
    assert event["id"] not in log
    assert int(event["id"]) == len(log) + 1
    log[event["id"]] = event
    target = log.get(str(event["body"].get("event_id")))
    kind = event["type"].rpartition(":")[2]
    if target is None:
        return
    if event["type"] == "event:delete":
        target["body"] = bodies.emptied(target["type"], target["body"], parse_instant(event["timestamp"]))
    elif kind in ("seen", "delivered"):
        state = target.setdefault("state", {})
        state.setdefault({"seen": "seen_by", "delivered": "delivered_to"}[kind], {})[event["from"]] = event["timestamp"]


async def act(world: World, action: tuple[str, str, Any]) -> None:
    what, who, detail = action
    as_user = world.kit.as_user(who)
    room = world.conversation
    if what == "say":
        await as_user.events.create(room, detail, {"text": "hello"})
    elif what == "see":
        await as_user.events.create(room, "text:seen" if detail % 2 else "event:delivered", {"event_id": detail})
    elif what in ("type", "mute"):
        await as_user.events.create(room, detail, {"activity": 1})
    elif what == "delete":
        await world.kit.events.delete(room, detail)
    elif what == "join":
        await world.kit.members.join(room, user_name=who, channel={"type": detail})
    elif what == "invite":
        await world.kit.members.invite(room, user_name=who, channel={"type": detail})
    elif what == "leave":
        members = [member for member in (await world.kit.members.list(room)).items if member.user_name == who and member.is_active]
        if members:
            await world.kit.members.remove(room, members[detail % len(members)].id)
    elif what == "rename":
        await world.kit.conversations.update(room, name=detail)
    else:
        legs = (await world.kit.legs.list()).items
        if legs:
            await world.kit.legs.update(legs[-1].id, detail)


async def check(url: str, actions: list[Any], first: int) -> None:
    async with open_world(make_kit(url)) as world:
        await do(world, actions[:first])
        log: dict[str, Any] = {}
        for event in await listed(world):
            log[event["id"]] = event
        async with stream(world, "admin", f"after={len(log)}") as client, world.kit.subscribe(world.conversation, after=0) as events:
            await do(world, actions[first:])
            wanted = await listed(world)
            await client.until(lambda: len([event for event in client.events if "id" in event]) + len(log) == len(wanted))
            for event in client.events:
                apply(log, event)
            assert list(log.values()) == wanted
            assert await ids(events, len(wanted)) == list(range(1, len(wanted) + 1))


async def do(world: World, actions: list[Any]) -> None:
    for action in actions:
        try:
            await act(world, action)
        except RequestError:
            continue  # refused, so nothing has happened


async def listed(world: World) -> list[Any]:
    found: list[Any] = []
    while True:
        page = await world.json("GET", f"{world.path}/events?start_id={len(found) + 1}")
        found += page
        if len(page) < 100:
            return found


async def ids(events: Subscription, last: int) -> list[int]:
    found: list[int] = []
    with anyio.fail_after(30):
        while not found or found[-1] != last:
            event: Event = await anext(events)
            if event.id is not None:
                found.append(event.id)
    return found


EXAMPLES = {"memory": 100, "sqlite": 30, "postgresql": 12, "mariadb": 8}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_list_and_what_comes_live_is_the_list_afterwards(kind: str, backend: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if kind != "memory":
        with emptied(kind, tmp_path_factory.mktemp("probe")):
            pass  # or the test is skipped, once
    with start_blocking_portal(backend) as portal:

        @settings(max_examples=EXAMPLES[kind], suppress_health_check=list(HealthCheck))
        @given(ACTIONS, st.integers(0, 10))
        def holds(actions: list[Any], first: int) -> None:
            if kind == "memory":
                portal.call(check, "memory://", actions, first)
                return
            with emptied(kind, tmp_path_factory.mktemp("live")) as url:
                portal.call(check, url, actions, first)

        holds()
