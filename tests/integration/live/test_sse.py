"""Server-sent events: what a browser gets, where it goes on, and when its stream ends."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

from conversation_kit import Signal, StreamLimits
from conversation_kit.auth import make_token
from tests.integration.live.connections import Connection, nobody_is_left, stream
from tests.support.probes import bus_of
from tests.support.world import APP, keys, open_world

pytestmark = pytest.mark.anyio


async def arrived(connection: Connection, number: int) -> None:
    """Return when that many events are there."""
    await connection.until(lambda: len(connection.events) >= number)


async def test_a_stream_begins_with_what_comes_next() -> None:
    async with open_world() as world:
        async with stream(world) as ana:
            assert ana.status == 200
            headers = {name.decode(): value.decode() for name, value in ana.sent[0]["headers"]}
            assert headers == {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-store, no-transform",
                "x-accel-buffering": "no",
                "x-content-type-options": "nosniff",
            }
            said = await world.say("hello")
            await ana.until(lambda: ana.events)
            assert re.match(rb"retry: [123]\d{3}\n\nid: 5-0\n\n", ana.body)
            record = ana.records[0]
            assert record["id"] == f"{said}-0"
            assert "event" not in record
            assert ana.events == [await world.json("GET", f"{world.path}/events/{said}", "ana")]
        assert nobody_is_left(world)


@pytest.mark.parametrize("how", ["query", "header"])
async def test_a_stream_goes_on_after_the_last_id(how: str) -> None:
    async with open_world() as world:
        opened = stream(world, "ana", "after=3") if how == "query" else stream(world, "ana", "after=0", last_event_id="3")
        async with opened as ana:
            await world.say()
            await ana.until(lambda: len(ana.events) == 3)
            assert [event["id"] for event in ana.events] == ["4", "5", "6"]


async def test_all_of_a_long_log_is_replayed_and_then_goes_on() -> None:
    async with open_world() as world:
        for number in range(230):
            await world.kit.events.create(world.conversation, "text", {"text": f"{number}\u2028\n"}, sender=world.members["ana"])
        async with stream(world, "ana", "after=0") as ana:
            await world.say()
            await ana.until(lambda: len(ana.events) == 236)
            assert [event["id"] for event in ana.events] == [str(id) for id in range(1, 237)]


@pytest.mark.parametrize("after", ["6", "99999999999999999999", "-1", "x", "", "1.0", "²", "0x1"])
async def test_a_position_that_is_none_is_refused(after: str) -> None:
    async with open_world() as world, stream(world, "ana", f"after={after}") as ana:
        await ana.ends()
        assert ana.status == 400
        assert ana.problem["code"] == "event:error:invalid-cursor"


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("bo", 403, "event:error:not-joined"),
        ("cy", 404, "conversation:error:not-found"),
        ("dee", 404, "conversation:error:not-found"),
        ("nobody such", 401, "system:error:invalid-token"),
        (None, 401, "system:error:invalid-token"),
        ("stranger admin", 404, "conversation:error:not-found"),
    ],
)
async def test_who_may_not_read_gets_an_answer_and_no_stream(who: str | None, status: int, code: str) -> None:
    async with open_world() as world, stream(world, who) as connection:
        await connection.ends()
        assert (connection.status, connection.problem["code"]) == (status, code)
        assert nobody_is_left(world)


async def test_typing_arrives_without_an_id_and_is_not_replayed() -> None:
    async with open_world() as world, stream(world, "max") as one:
        await world.kit.as_user("ana").events.create(world.conversation, "text:typing:on", {"activity": 1})
        await world.say()
        await one.until(lambda: len(one.events) == 2)
        assert [(record.get("id"), event["type"]) for record, event in zip(one.records, one.events, strict=True)] == [
            (None, "text:typing:on"),
            ("6-0", "text"),
        ]
        assert "id" not in one.events[0]
        async with stream(world, "max", "after=5") as other:
            await other.until(lambda: other.events)
            assert [event["type"] for event in other.events] == ["text"]


async def test_who_leaves_gets_to_know_it_and_nothing_after_it() -> None:
    async with open_world() as world, stream(world, "max") as left, stream(world, "ana") as stays:
        await world.kit.as_user("max").members.remove(world.conversation, world.members["max"])
        await world.say()
        await left.ends()
        await stays.until(lambda: len(stays.events) == 2)
        assert [event["type"] for event in left.events] == ["member:left"]
        assert left.end["code"] == "conversation:error:not-found"


async def test_who_leaves_over_one_channel_and_stays_over_another_misses_nothing() -> None:
    async with open_world() as world:
        other = await world.kit.members.join(world.conversation, user_name="max", channel={"type": "sip"})
        async with stream(world, "max") as connection:
            await world.kit.members.remove(world.conversation, other.id)
            said = await world.say()
            await connection.until(lambda: connection.events and connection.events[-1]["id"] == said)
            ids = [int(event["id"]) for event in connection.events]
            assert ids == list(range(ids[0], ids[-1] + 1))


async def test_a_deleted_conversation_ends_its_streams() -> None:
    async with open_world() as world, stream(world, "max") as one, stream(world, "admin") as other:
        await world.kit.conversations.delete(world.conversation)
        for connection in (one, other):
            await connection.ends()
            assert connection.end["code"] == "conversation:error:not-found"


async def test_a_token_that_ends_ends_its_stream() -> None:
    async with open_world() as world:
        short = make_token(keys(APP)[0], APP, sub="ana", ttl=2)
        with anyio.fail_after(30):
            async with stream(world, None, authorization=f"Bearer {short}") as ana:
                await ana.ends()
        assert ana.end["code"] == "system:error:expired-token"


async def test_a_quiet_stream_has_heartbeats() -> None:
    async with open_world(stream_limits=StreamLimits(heartbeat_seconds=0.02)) as world, stream(world) as ana:
        await ana.until(lambda: ana.body.count(b":\n\n") >= 2)
        assert ana.records == []


async def test_an_old_stream_just_ends() -> None:
    async with open_world(stream_limits=StreamLimits(max_age_seconds=0.1)) as world, stream(world) as ana:
        await ana.ends()
        assert ana.records == []
        assert ana.sent[-1] == {"type": "http.response.body", "body": b""}


async def test_streams_are_counted_for_each_user_and_in_all() -> None:
    async with open_world(stream_limits=StreamLimits(per_user=1, total=2)) as world:
        async with stream(world, "ana"):
            async with stream(world, "ana") as second:
                await second.ends()
                assert (second.status, second.problem["code"]) == (429, "stream:error:too-many")
                assert dict(second.sent[0]["headers"])[b"retry-after"] == b"10"
            async with stream(world, "max"), stream(world, "admin") as third:
                await third.ends()
                assert (third.status, third.problem["code"]) == (503, "stream:error:capacity")
        async with stream(world, "ana") as again:
            assert again.status == 200
        assert nobody_is_left(world)


async def test_a_stop_of_the_kit_ends_all_streams() -> None:
    async with open_world() as world, stream(world) as ana, stream(world, "max") as other:
        async with world.kit.lifespan():
            pass
        await world.say()
        await arrived(ana, 1)
        await world.kit.stop()
        for connection in (ana, other):
            await connection.ends()
            assert connection.end is None
        assert nobody_is_left(world)


async def test_head_and_other_accepts_are_what_they_were() -> None:
    async with open_world() as world:
        answer = await world.call("HEAD", f"{world.path}/events", "ana", headers={"Accept": "text/event-stream"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert len(await world.json("GET", f"{world.path}/events", "ana", headers={"Accept": "*/*"})) == 5


async def test_one_who_does_not_read_is_dropped_and_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.live.buffer.PATIENCE", 0.0)
    async with open_world() as world, stream(world, "max") as slow, stream(world, "ana") as quick:
        slow.reads = anyio.Event()
        said = []
        for number in range(80):
            said.append(await world.say(str(number)))
            await quick.until(lambda: len(quick.events) == len(said))
        assert len(slow.events) == 0
        slow.reads.set()
        await slow.ends()
        assert slow.end["code"] == "stream:error:too-slow"
        # The message that was stuck has come through; it goes on after that.
        last = slow.events[-1]["id"] if slow.events else str(int(said[0]) - 1)
        async with stream(world, "max", f"after={last}") as again:
            await again.until(lambda: len(slow.events) + len(again.events) == 80)
            assert [event["id"] for event in (*slow.events, *again.events)] == said


async def test_one_who_never_reads_again_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.http.live.streams.STUCK_SECONDS", 0.1)
    async with open_world() as world, stream(world, "max") as slow:
        slow.reads = anyio.Event()
        await world.say()
        await slow.ends()
        assert nobody_is_left(world)


async def test_a_burst_is_no_slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world, stream(world, "max") as connection:
        # All of it is published before any task gets its turn.
        live = bus_of(world.kit)
        signals: list[Signal] = []
        with monkeypatch.context() as unannounced:
            unannounced.setattr(live, "publish", signals.extend)
            said = [await world.say(str(number)) for number in range(300)]
        live.publish(signals)
        await connection.until(lambda: len(connection.events) == 300)
        assert [event["id"] for event in connection.events] == said


async def test_hrefs_are_those_of_each_mount() -> None:
    async with open_world() as world, stream(world) as ana, stream(world, "max", app=world.kit.middleware(_nobody, "/beta")) as other:
        said = await world.say()
        for connection in (ana, other):
            await arrived(connection, 1)
            assert connection.events[0]["href"] == f"http://host.test/beta{world.path}/events/{said}"


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nobody asks the host")
