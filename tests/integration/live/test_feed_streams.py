"""A user's feed over connections: records with cursors, frames in both directions, tickets, and who gets what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversation_kit.auth import make_token
from tests.integration.live.connections import Connection, nobody_is_left, socket, stream
from tests.support.world import APP, World, keys, open_world

pytestmark = pytest.mark.anyio


def path(world: World, who: str = "ana") -> str:
    return f"/users/{world.users[who]}/events"


def events(connection: Connection) -> list[Any]:
    return [frame for frame in connection.frames if "type" in frame]


async def second_room(world: World) -> str:
    made = await world.kit.conversations.create()
    await world.kit.members.join(made.id, user_name="ana")
    return made.id


async def test_records_are_events_as_in_the_list_with_their_conversation_and_a_cursor_to_go_on_from() -> None:
    async with open_world() as world:
        second = await second_room(world)
        async with stream(world, "ana", path=path(world)) as ana:
            await ana.until(lambda: b"\n\nid: " in ana.body)
            start = ana.body.split(b"\n\nid: ")[1].split(b"\n")[0].decode()
            await world.say()
            await world.kit.events.create(second, "text", {"text": "there"})
            await ana.until(lambda: len(ana.events) == 2)
            here = (await world.json("GET", f"{world.path}/events", "ana"))[-1]
            there = (await world.json("GET", f"/conversations/{second}/events", "ana"))[-1]
            assert ana.events == [{**here, "conversation_id": world.conversation}, {**there, "conversation_id": second}]
            after_first = ana.records[0]["id"]
        async with stream(world, "ana", path=path(world), last_event_id=start) as again:
            await again.until(lambda: len(again.events) == 2)
            assert sorted(map(str, again.events)) == sorted(map(str, ana.events))
        async with stream(world, "ana", f"after={after_first}", path=path(world)) as again:
            await again.until(lambda: again.events)
            assert again.events == ana.events[1:]
        assert nobody_is_left(world)


async def test_what_has_no_id_has_no_cursor_either() -> None:
    async with open_world() as world, stream(world, "max", path=path(world, "max")) as feed:
        await world.kit.as_user("ana").events.create(world.conversation, "text:typing:on")
        await world.kit.members.remove(world.conversation, world.members["max"])
        await feed.until(lambda: len(feed.events) == 3)
        typing, left, removed = feed.records
        assert ["id" in record for record in feed.records] == [False, True, False]
        assert [json.loads(record["data"])["type"] for record in (typing, left, removed)] == [
            "text:typing:on",
            "member:left",
            "conversation:removed",
        ]
        assert all(event["conversation_id"] == world.conversation for event in feed.events)


async def test_a_socket_takes_events_for_any_conversation_and_frames_bear_a_cursor() -> None:
    async with open_world() as world:
        second = await second_room(world)
        async with socket(world, "ana", path=path(world)) as ana:
            await ana.until(lambda: ana.frames)
            assert ana.frames[0].keys() == {"cursor"}
            for number, conversation in enumerate((world.conversation, second)):
                frame = {"tid": number, "conversation_id": conversation, "type": "text", "body": {"text": "hello"}}
                await ana.say(frame)
                await ana.until(lambda: number in [frame.get("rid") for frame in ana.frames])  # noqa: B023
            await ana.until(lambda: len(events(ana)) == 2)
            assert [event["conversation_id"] for event in events(ana)] == [world.conversation, second]
            cursor = events(ana)[0]["cursor"]
        async with socket(world, "ana", f"after={cursor}", path=path(world)) as again:
            await again.until(lambda: events(again))
            assert events(again) == events(ana)[1:]
        assert nobody_is_left(world)


@pytest.mark.parametrize(
    ("conversation", "code"),
    [(None, "http:error:validation-fail"), ("CON-nowhere", "conversation:error:not-found"), ("", "http:error:validation-fail")],
)
async def test_a_frame_says_for_which_conversation_it_is(conversation: str | None, code: str) -> None:
    async with open_world() as world, socket(world, "ana", path=path(world)) as ana:
        await ana.say({"tid": 1, "type": "text", "body": {"text": "hello"}, "conversation_id": conversation})
        await ana.until(lambda: len(ana.frames) == 2)
        assert (ana.frames[1]["rid"], ana.frames[1]["code"]) == (1, code)


async def test_the_socket_of_a_conversation_takes_nothing_for_another_one() -> None:
    async with open_world() as world:
        second = await second_room(world)
        async with socket(world, "ana") as ana:
            await ana.say({"tid": 1, "type": "text", "body": {"text": "hello"}, "conversation_id": second})
            await ana.say({"tid": 2, "type": "text", "body": {"text": "hello"}, "conversation_id": world.conversation})
            await ana.until(lambda: len([frame for frame in ana.frames if "rid" in frame]) == 2)
            refused, taken = [frame for frame in ana.frames if "rid" in frame]
            assert refused["code"] == "http:error:validation-fail"
            assert taken["id"] == "6"
        assert len(await world.kit.events.list(second)) == 1


@pytest.mark.parametrize("open_", [stream, socket])
@pytest.mark.parametrize(
    ("who", "whose", "query", "status"),
    [
        ("max", "ana", "", 403),
        (None, "ana", "", 401),
        ("stranger admin", "ana", "", 404),
        ("ana", "ana", "after=x", 400),
        ("ana", "ana", "after=", 400),
    ],
)
async def test_who_may_not_listen_is_refused(open_: Any, who: str | None, whose: str, query: str, status: int) -> None:
    async with open_world() as world:
        async with open_(world, who, query, path=path(world, whose)) as refused:
            await refused.ends()
            assert refused.status == status
            assert refused.problem["code"]
        assert nobody_is_left(world)


async def test_a_request_that_does_not_accept_a_stream_is_told_so() -> None:
    async with open_world() as world:
        answer = await world.json("GET", path(world), "ana", status=406)
        assert answer["code"] == "http:error:not-acceptable"
        await world.json("POST", path(world), "ana", status=405)


async def test_an_access_list_leaves_out_conversations_that_it_does_not_cover() -> None:
    async with open_world() as world:
        second = await second_room(world)
        acl: Any = {"paths": {"/*/users/**": {}, f"/*/conversations/{second}/**": {}}}
        bearer = "Bearer " + make_token(keys(APP)[0], APP, sub="ana", acl=acl)
        async with stream(world, None, "after=0", path=path(world), authorization=bearer) as feed:
            await feed.until(lambda: feed.events)
            await world.say()
            await world.kit.events.create(second, "text", {"text": "there"})
            await feed.until(lambda: len(feed.events) == 2)
            assert {event["conversation_id"] for event in feed.events} == {second}
        async with socket(world, None, path=path(world), authorization=bearer) as feed:
            for conversation in (world.conversation, second):
                await feed.say({"type": "text", "body": {"text": "hello"}, "conversation_id": conversation})
            await feed.until(lambda: len([frame for frame in feed.frames if "rid" in frame]) == 2)
            assert [frame.get("code") for frame in feed.frames if "rid" in frame] == ["system:error:permission", None]


async def test_a_ticket_opens_the_feed_of_its_user_once() -> None:
    async with open_world() as world:
        made = await world.json("POST", f"/users/{world.users['ana']}/tickets", "ana", status=201)
        assert made["href"] == f"http://host.test/beta{path(world)}?ticket={made['ticket']}"
        for other in (path(world, "max"), f"{world.path}/events"):
            async with stream(world, None, f"ticket={made['ticket']}", path=other) as refused:
                assert refused.status == 401
        async with socket(world, None, f"ticket={made['ticket']}", path=path(world)) as ana:
            await ana.say({"type": "text", "body": {"text": "hello"}, "conversation_id": world.conversation})
            await ana.until(lambda: events(ana))
        async with stream(world, None, f"ticket={made['ticket']}", path=path(world)) as refused:
            assert refused.status == 401


async def test_tickets_are_for_who_may_listen_to_all_of_it() -> None:
    async with open_world() as world:
        tickets = f"/users/{world.users['ana']}/tickets"
        await world.json("POST", tickets, "max", status=403)
        await world.json("POST", tickets, None, status=401)
        await world.json("POST", "/users/USR-nobody/tickets", status=404)
        some = make_token(keys(APP)[0], APP, sub="ana", acl={"paths": {"/*/users/**": {}, f"/*/conversations/{world.conversation}/**": {}}})
        await world.json("POST", tickets, None, status=403, headers={"Authorization": f"Bearer {some}"})
        reading = {"paths": {"/*/users/**": {}, "/*/conversations/*/events": {"methods": ["GET"]}}}
        reader = make_token(keys(APP)[0], APP, sub="ana", acl=reading)
        made = await world.json("POST", tickets, None, status=201, headers={"Authorization": f"Bearer {reader}"})
        async with socket(world, None, f"ticket={made['ticket']}", path=path(world)) as ana:
            await ana.say({"type": "text", "body": {"text": "hello"}, "conversation_id": world.conversation})
            await ana.until(lambda: len(ana.frames) == 2)
            assert ana.frames[1]["code"] == "system:error:permission"
