from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

import conversation_kit
from conversation_kit import EventCreated, EventDeleted, MemberJoined, Signal
from conversation_kit.hooks.bounds import MAX_DEPTH
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

PUBLIC = {
    "ConversationCreated",
    "ConversationUpdated",
    "ConversationDeleted",
    "UserCreated",
    "UserUpdated",
    "UserDeleted",
    "MemberInvited",
    "MemberJoined",
    "MemberLeft",
    "EventCreated",
    "EventDeleted",
    "LegStarted",
    "LegUpdated",
    "LegTerminated",
}
TEXT = {"type": "text", "body": {"text": "hello"}}


def record(world: World, what: Any = Signal) -> list[Any]:
    seen: list[Any] = []

    @world.kit.on(what)
    async def note(signal: Signal) -> None:
        seen.append(signal)

    return seen


def names(seen: list[Any]) -> list[str]:
    return [type(signal).__name__ for signal in seen]


async def test_every_change_is_announced_alike_over_http_and_in_process() -> None:
    async def over_http(world: World) -> list[str]:
        seen = record(world)
        user = (await world.json("POST", "/users", json={"name": "eve"}))["id"]
        await world.json("PUT", f"/users/{user}", json={"display_name": "Eve"})
        room = (await world.json("POST", "/conversations"))["id"]
        path = f"/conversations/{room}"
        await world.json("PUT", path, json={"display_name": "Room"})
        invite = {"action": "invite", "user_id": user, "channel": {"type": "phone"}}
        made = await world.json("POST", f"{path}/members", status=201, json=invite)
        await world.json("PUT", f"{path}/members/{made['id']}", "eve", json={"action": "join"})
        event = await world.json("POST", f"{path}/events", "eve", status=201, json=TEXT)
        await world.json("DELETE", f"{path}/events/{event['id']}", "eve")
        await world.json("DELETE", f"/legs/{made['channel']['leg_id']}")
        await world.json("DELETE", f"{path}/members/{made['id']}", "eve")
        await world.json("DELETE", path)
        await world.json("DELETE", f"/users/{user}")
        return names(seen)

    async def in_process(world: World) -> list[str]:
        seen = record(world)
        kit = world.kit
        user = await kit.users.create("eve")
        await kit.users.update(user.id, display_name="Eve")
        room = await kit.conversations.create()
        await kit.conversations.update(room.id, display_name="Room")
        invited = await kit.members.invite(room.id, user_id=user.id, channel={"type": "phone"})
        member = await kit.members.join(room.id, member_id=invited.id)
        event = await kit.events.create(room.id, "text", {"text": "hello"}, sender=member.id)
        assert event.id is not None
        await kit.events.delete(room.id, event.id)
        await kit.legs.delete(invited.channel["leg_id"])
        await kit.members.remove(room.id, member.id)
        await kit.conversations.delete(room.id)
        await kit.users.delete(user.id)
        return names(seen)

    async with open_world(populate=False) as first, open_world(populate=False) as second:
        one, other = await over_http(first), await in_process(second)
    assert one == other
    assert [name for name in one if name != "EventCreated"] == [
        "UserCreated",
        "UserUpdated",
        "ConversationCreated",
        "ConversationUpdated",
        "MemberInvited",
        "LegStarted",
        "MemberJoined",
        "EventDeleted",
        "LegTerminated",
        "MemberLeft",
        "ConversationDeleted",
        "UserDeleted",
    ]
    assert one.count("EventCreated") == 9


async def test_a_signal_carries_what_was_committed() -> None:
    async with open_world() as world:
        joined, created, deleted = record(world, MemberJoined), record(world, EventCreated), record(world, EventDeleted)
        member = await world.kit.members.join(world.conversation, user_name="dee")
        assert joined == [MemberJoined("app-1", member)]
        assert created[0].event.type == "member:joined"
        event = await world.kit.as_user("dee").events.create(world.conversation, "text", {"text": "x"})
        assert created[-1].event == event
        assert event.id is not None
        await world.kit.as_user("dee").events.delete(world.conversation, event.id)
        assert deleted[0].event.is_deleted
        assert [one.event.id for one in created] == [event.id - 1, event.id, event.id + 1]


async def test_a_receiver_finds_the_change_already_stored() -> None:
    async with open_world() as world:
        found: list[str] = []

        @world.kit.on(EventCreated)
        async def look(signal: EventCreated) -> None:
            assert signal.event.id is not None
            found.append((await world.kit.events.get(world.conversation, signal.event.id)).data)

        event = await world.kit.events.create(world.conversation, "custom:x")
        assert found == [event.data]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("custom:rating", 1),
        ("custom:*", 2),
        ("*", 4),
        ("text*", 2),
        ("text", 1),
        ("text:typing:on", 1),
        ("member:*", 0),
        ("custom:ratin", 0),
    ],
)
async def test_a_receiver_may_ask_for_event_types_by_pattern(pattern: str, wanted: int) -> None:
    async with open_world() as world:
        seen = record(world, pattern)
        ana = world.kit.as_user("ana").events
        for type in ("custom:rating", "custom:other", "text:typing:on"):
            await ana.create(world.conversation, type)
        await ana.create(world.conversation, "text", {"text": "x"})
        assert len(seen) == wanted


async def test_typing_is_announced_without_an_id() -> None:
    async with open_world() as world:
        seen = record(world, EventCreated)
        await world.json("POST", f"{world.path}/events", "ana", status=201, json={"type": "text:typing:on"})
        assert [(one.event.type, one.event.id) for one in seen] == [("text:typing:on", None)]


async def test_a_receiver_that_raises_or_hangs_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        release = threading.Event()

        @world.kit.on(EventCreated)
        def crash(signal: EventCreated) -> None:
            raise RuntimeError("boom")

        @world.kit.on(EventCreated, timeout=0.05)
        async def hang(signal: EventCreated) -> None:
            await anyio.sleep_forever()

        @world.kit.on(EventCreated, timeout=0.05)
        def stuck(signal: EventCreated) -> None:
            release.wait(60)

        seen = record(world, EventCreated)
        try:
            with anyio.fail_after(30):
                made = await world.json("POST", f"{world.path}/events", "ana", status=201, json=TEXT)
        finally:
            release.set()
        assert [str(one.event.id) for one in seen] == [made["id"]]
        assert (await world.types()).count("text") == 1
        for name in ("crash", "hang", "stuck"):
            assert name in caplog.text


async def test_receivers_of_one_signal_run_side_by_side() -> None:
    async with open_world() as world:
        met = anyio.Event()

        @world.kit.on(EventCreated)
        async def waits(signal: EventCreated) -> None:
            await met.wait()

        @world.kit.on(EventCreated)
        async def comes(signal: EventCreated) -> None:
            met.set()

        with anyio.fail_after(30):
            await world.say()


async def test_a_refused_command_announces_nothing() -> None:
    async with open_world() as world:
        seen = record(world)
        await world.json("POST", f"{world.path}/events", "bo", status=403, json=TEXT)
        await world.json("POST", "/users", status=400, json={"name": "ana"})
        assert seen == []


async def test_a_bot_that_answers_itself_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.on("text")
        async def echo(signal: EventCreated) -> None:
            await world.kit.events.create(world.conversation, "text", signal.event.body)

        await world.say()
        assert (await world.types()).count("text") == MAX_DEPTH + 1
        assert "deep" in caplog.text


async def test_a_caller_that_goes_away_loses_neither_the_event_nor_its_signal() -> None:
    async with open_world() as world:
        seen = record(world, EventCreated)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await world.kit.events.create(world.conversation, "custom:x")
        assert (await world.types())[-1] == "custom:x"
        assert len(seen) == 1


def test_all_signals_are_public() -> None:
    leaves: set[str] = set()
    waiting: list[type[Signal]] = [Signal]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        leaves |= {one.__name__ for one in below if not one.__subclasses__() and not one.__name__.endswith("Signal")}
    assert leaves == PUBLIC
    assert set(conversation_kit.__all__) >= PUBLIC


async def test_a_receiver_has_one_time_limit_for_all_signals_of_a_commit(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        calls: list[Signal] = []

        @world.kit.on(Signal, timeout=0.05)
        async def hang(signal: Signal) -> None:
            calls.append(signal)
            await anyio.sleep_forever()

        await world.kit.members.join(world.conversation, user_name="dee", channel={"type": "phone"})
        assert len(calls) == 1
        assert "MemberJoined" in caplog.text
