"""Limits as clients meet them: status, code and header fields over HTTP, and frames over a WebSocket."""

from __future__ import annotations

import math
from typing import Any

import anyio
import httpx2
import pytest

from conversation_kit import ConfigurationError, Limits, Quotas, StreamLimits
from conversation_kit.http import app
from tests.integration.live.connections import socket, stream
from tests.support.limits import Time, limited
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

TEXT = {"type": "text", "body": {"text": "hello"}}


async def post(world: World, who: str = "ana", path: str = "/events", body: Any = TEXT) -> Any:
    return await world.call("POST", world.path + path, who, json=body)


async def test_answers_tell_what_is_left_and_refusals_when_there_is_more() -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(events="2/minute", event_bytes="1000000/day"))) as world:
        answer = await post(world)
        assert answer.status_code == 201
        assert answer.headers["ratelimit-policy"] == '"events";q=2;w=60, "event_bytes";q=1000000;qu="content-bytes";w=86400'
        assert answer.headers["ratelimit"] == '"events";r=1;t=30, "event_bytes";r=999984;t=1'
        time.now += 1.5
        await post(world)
        answer = await post(world)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "29"
        assert answer.headers["ratelimit"].startswith('"events";r=0;t=29, "event_bytes";')
        problem = answer.json()
        assert (problem["code"], problem["title"], problem["retry_after"]) == ("http:error:too-many-requests", "Too Many Requests", 29)
        assert problem["description"] == "You have had as many events as may be, 2 per minute: try again in 29 s."
        assert len(await world.json("GET", f"{world.path}/events", "ana")) == 7


async def test_answers_to_what_is_not_limited_tell_nothing() -> None:
    async with open_world(**limited(Time(), per_user=Quotas(events="2/minute"))) as world:
        await post(world)
        for answer in (await world.call("GET", f"{world.path}/events", "ana"), await post(world, "admin"), await world.call("GET", "/")):
            assert "ratelimit" not in answer.headers
            assert "ratelimit-policy" not in answer.headers
    async with open_world() as world:
        assert "ratelimit" not in (await post(world)).headers


async def test_an_error_after_the_count_tells_what_is_left() -> None:
    async with open_world(**limited(Time(), per_user=Quotas(events="5/minute"))) as world:
        answer = await post(world, "dee")
        assert (answer.status_code, answer.headers["ratelimit"]) == (404, '"events";r=4;t=12')


async def test_how_much_an_application_has_used_is_told_when_it_has_no_more() -> None:
    async with open_world(**limited(Time(), per_application=Quotas(events="1/minute"))) as world:
        assert "ratelimit" not in (await post(world)).headers
        answer = await post(world, "max")
        assert answer.status_code == 429
        assert answer.headers["ratelimit-policy"] == '"application.events";q=1;w=60'
        assert answer.headers["ratelimit"] == '"application.events";r=0;t=60'


@pytest.mark.parametrize(
    ("noun", "path", "body"),
    [
        ("conversations", "/conversations", {}),
        ("invitations", "{0}/members", {"action": "invite", "user_name": "dee"}),
        ("tickets", "{0}/tickets", None),
        ("tickets", "/users/me/tickets", None),
    ],
)
async def test_each_limit_holds_for_its_operations(noun: str, path: str, body: Any) -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(**{noun: "1/minute"}))) as world:
        time.now += 60  # ana has invited bo
        answers = [await world.call("POST", path.format(world.path), "ana", json=body) for _ in range(2)]
        assert [answer.status_code for answer in answers] in ([200, 429], [201, 429])
        assert [answer.headers["ratelimit"] for answer in answers] == [f'"{noun}";r=0;t=60'] * 2
        assert answers[1].json()["code"] == "http:error:too-many-requests"


async def test_a_frame_over_the_limit_is_answered_with_the_error_and_the_socket_stays() -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(events="1/minute"))) as world, socket(world, "ana") as ana:
        for tid in (1, 2):
            await ana.say({"tid": tid, **TEXT})
        await ana.until(lambda: len([frame for frame in ana.frames if "rid" in frame]) == 2)
        first, second = [frame for frame in ana.frames if "rid" in frame]
        assert (first["rid"], "code" in first) == (1, False)
        assert (second["rid"], second["code"], second["status"], second["retry_after"]) == (2, "http:error:too-many-requests", 429, 60)
        time.now += 60
        await ana.say({"tid": 3, **TEXT})
        await ana.until(lambda: len([frame for frame in ana.frames if "rid" in frame]) == 3)
        assert "code" not in ana.frames[-1]


async def test_the_streams_of_an_application_are_counted_too() -> None:
    async with open_world(stream_limits=StreamLimits(per_application=2)) as world, stream(world, "ana"), socket(world, "max"):
        async with stream(world, "ana") as third:
            await third.ends()
            assert (third.status, third.problem["code"]) == (429, "stream:error:too-many")
        async with socket(world, "max") as fourth:
            await fourth.until(lambda: fourth.sent)
            assert (fourth.sent[0]["type"], fourth.status) == ("websocket.http.response.start", 429)
        async with stream(world, "admin") as fifth:
            assert fifth.status == 200


def test_a_limit_of_streams_is_more_than_none() -> None:
    with pytest.raises(ConfigurationError, match="per_application"):
        StreamLimits(per_application=0)


async def test_a_limit_counts_over_both_doors_and_in_process() -> None:
    async with open_world(limits=Limits(per_user=Quotas(events="3/day"))) as world, socket(world, "ana") as ana:
        await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": "one"})
        await ana.say({"tid": 1, **TEXT})
        await ana.until(lambda: any("rid" in frame for frame in ana.frames))
        assert (await post(world)).headers["ratelimit"].startswith('"events";r=0;')
        assert (await post(world)).status_code == 429


async def test_a_refusal_is_held_back_while_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "HELD_SECONDS", math.inf)
    async with open_world(**limited(Time(), per_user=Quotas(events="1/minute"))) as world:
        await post(world)
        async with anyio.create_task_group() as group:
            group.start_soon(post, world)
            await anyio.wait_all_tasks_blocked()
            assert (await post(world, "max")).status_code == 201
            group.cancel_scope.cancel()


async def test_a_repeat_is_answered_and_not_counted_and_a_refusal_is_no_answer_to_repeat() -> None:
    time = Time()
    async with open_world(**limited(time, per_user=Quotas(events="1/minute"))) as world:

        async def send(key: str) -> httpx2.Response:
            return await world.call("POST", f"{world.path}/events", "ana", json=TEXT, headers={"Idempotency-Key": key})

        first, repeat, other = await send("one"), await send("one"), await send("other")
        assert [first.status_code, repeat.status_code, other.status_code] == [201, 201, 429]
        assert repeat.json() == first.json()
        time.now += 60
        assert (await send("other")).status_code == 201
