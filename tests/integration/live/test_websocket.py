"""WebSockets: what arrives, what may be sent, and what becomes of what may not."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from conversation_kit import ConversationKit, CreateEvent, HostAuthenticator, Rejected, StreamLimits
from conversation_kit.auth import make_token
from conversation_kit.http.live.websocket import MAX_MESSAGE, _warn_of_server
from conversation_kit.http.serving.mounting import Message, Receive, Scope, Send
from tests.integration.live.connections import Connection, mounted, nobody_is_left, socket, stream
from tests.support.world import APP, keys, open_world

pytestmark = pytest.mark.anyio


def events(connection: Connection) -> list[Any]:
    """The events as the list has them; each frame also has a cursor."""
    frames = [frame for frame in connection.frames if "type" in frame]
    return [{name: value for name, value in frame.items() if name != "cursor"} for frame in frames]


def answers(connection: Connection) -> list[Any]:
    return [frame for frame in connection.frames if "rid" in frame]


async def answer_to(connection: Connection, frame: Any) -> Any:
    """What a frame is answered with."""
    before = len(answers(connection))
    await connection.say(frame)
    await connection.until(lambda: len(answers(connection)) > before)
    return answers(connection)[before]


async def test_events_arrive_as_the_same_json_as_in_the_list() -> None:
    async with open_world() as world:
        async with socket(world, "ana", "after=4") as ana:
            said = await world.say("hello")
            await ana.until(lambda: len(events(ana)) == 2)
            assert ana.sent[0]["type"] == "websocket.accept"
            assert events(ana) == (await world.json("GET", f"{world.path}/events", "ana"))[4:]
            assert events(ana)[-1]["id"] == said
        assert nobody_is_left(world)


async def test_a_frame_is_posted_and_answered_with_what_it_is_known_by() -> None:
    async with open_world() as world, socket(world, "ana") as ana, stream(world, "max") as other:
        for tid in ("mine", 7, None):
            answer = await answer_to(ana, {"tid": tid, "type": "text", "body": {"text": "hello"}, "from": world.members["ana"]})
            event = await world.json("GET", f"{world.path}/events/{answer['id']}", "ana")
            assert answer == {"rid": tid, "id": event["id"], "timestamp": event["timestamp"], "href": event["href"]}
            assert event["from"] == world.members["ana"]
        await ana.until(lambda: len(events(ana)) == 3)
        await other.until(lambda: len(other.events) == 3)
        typing = await answer_to(ana, {"tid": "t", "type": "text:typing:on", "body": {"activity": 1}})
        assert typing.keys() == {"rid", "timestamp"}


async def test_frames_go_through_hooks_and_rights() -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        async def no_adverts(command: CreateEvent, context: Any) -> None:
            if command.body.get("text") == "buy now":
                raise Rejected("shop:error:advert", "No adverts in here.")

        async with socket(world, "ana") as ana:
            refused = await answer_to(ana, {"tid": "1", "type": "text", "body": {"text": "buy now"}})
            assert (refused["rid"], refused["code"], refused["status"]) == ("1", "shop:error:advert", 403)
            foreign = await answer_to(ana, {"tid": "2", "type": "text", "body": {"text": "x"}, "from": world.members["max"]})
            assert foreign["code"] == "event:error:permission-denied"
            assert len(await world.types()) == 5


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "http:error:validation-fail"),
        ("[]", "http:error:validation-fail"),
        ("null", "http:error:validation-fail"),
        ("", "http:error:validation-fail"),
        ("\ud800", "http:error:validation-fail"),
        ("[" * 60_000, "http:error:validation-fail"),
        ({}, "http:error:validation-fail"),
        ({"type": 1}, "http:error:validation-fail"),
        ({"type": "text", "body": []}, "http:error:validation-fail"),
        ({"type": "text", "body": {"text": 1}}, "conversation:error:invalid-event"),
        ({"type": "nonsense"}, "conversation:error:invalid-event"),
        ({"type": "member:joined", "body": {}}, "conversation:error:invalid-event"),
        ({"type": "text", "body": {"text": "x" * 65_536}}, "http:error:validation-fail"),
        ({"type": "text", "body": {"text": "x"}, "from": "MEM-none"}, "conversation:error:not-found"),
        ({"type": "text", "body": {"text": "x"}, "tid": {}}, "http:error:validation-fail"),
        ({"type": "text:seen", "body": {"event_id": 99}}, "event:error:not-found"),
    ],
    ids=str,
)
async def test_a_bad_frame_is_answered_with_a_code_and_the_socket_stays(frame: Any, code: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world, socket(world, "ana") as ana:
        answer = await answer_to(ana, frame)
        assert answer["code"].rpartition(":")[0], answer
        assert answer["status"] < 500
        if code != "conversation:error:not-found":
            assert answer["code"] == code
        assert "id" in await answer_to(ana, {"type": "text", "body": {"text": "still here"}})
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING and record.name != "conversation_kit.refused"]


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ({"bytes": b"\x00\x01", "text": None}, "stream:error:binary", 1003),
        ({"text": "x" * 70_000}, "http:error:payload-too-large", 1009),
        ({"text": "é" * 36_000}, "http:error:payload-too-large", 1009),
    ],
)
async def test_what_no_client_should_go_on_sending_closes_its_socket_and_no_other(message: Any, code: str, close: int) -> None:
    async with open_world() as world, socket(world, "ana") as ana, socket(world, "max") as other:
        await ana.put({"type": "websocket.receive", **message})
        await ana.ends()
        assert answers(ana)[-1]["code"] == code
        assert ana.close_frame == (close, code)
        await world.say()
        await other.until(lambda: events(other))
        assert not other.done


@pytest.mark.parametrize(
    "message",
    [{"text": " " * 70_001}, {"text": "é" * 35_001}, {"bytes": b" " * 70_001, "text": None}],
    ids=["ascii", "two bytes", "binary"],
)
async def test_a_server_that_lets_long_messages_through_is_told_of_once(message: Any, caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_server.cache_clear()
    async with open_world() as world:
        for _ in range(2):
            async with socket(world, "ana") as ana:
                await ana.put({"type": "websocket.receive", **message})
                await ana.ends()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "--ws-max-size 70000 --ws-per-message-deflate false" in record.getMessage()


async def test_a_message_that_the_server_should_let_through_is_no_reason_to_complain(caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_server.cache_clear()
    async with open_world() as world, socket(world, "ana") as ana:
        await ana.say(" " * MAX_MESSAGE)
        await ana.ends()
        assert ana.close_frame == (1009, "http:error:payload-too-large")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_flood_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    async with open_world(stream_limits=StreamLimits(frames_per_second=2)) as world, socket(world, "ana") as ana:
        for number in range(20):
            await ana.say({"tid": number, "type": "text", "body": {"text": "x"}})
        await ana.ends()
        assert ana.close_frame == (1008, "stream:error:flood")
        assert len([answer for answer in answers(ana) if "id" in answer]) == 10


@pytest.mark.parametrize(
    ("who", "path", "query", "status", "code"),
    [
        (None, "", "", 401, "system:error:invalid-token"),
        ("bo", "", "", 403, "event:error:not-joined"),
        ("dee", "", "", 404, "conversation:error:not-found"),
        ("ana", "", "after=99", 400, "event:error:invalid-cursor"),
        ("ana", "/conversations", "", 404, "http:error:not-found"),
        ("ana", "/nothing", "", 404, "http:error:not-found"),
        ("ana", "", "ticket=x", 401, "stream:error:invalid-ticket"),
    ],
)
async def test_a_handshake_that_may_not_be_is_answered_like_a_request(
    who: str | None, path: str, query: str, status: int, code: str
) -> None:
    async with open_world() as world, socket(world, who, query, path=path) as connection:
        await connection.ends()
        assert connection.sent[0]["type"] == "websocket.http.response.start"
        assert (connection.status, connection.problem["code"]) == (status, code)
        assert nobody_is_left(world)


async def test_servers_that_cannot_answer_a_handshake_refuse_it() -> None:
    async with open_world() as world:

        async def without_extension(scope: Any, receive: Any, send: Any) -> None:
            await world.kit({**scope, "root_path": "/beta", "extensions": {}}, receive, send)

        async with socket(world, None, app=without_extension) as connection:
            await connection.ends()
            assert connection.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("http://host.test", True),
        ("https://host.test", True),
        ("HTTP://HOST.TEST", True),
        ("https://shop.example", True),
        ("https://evil.example", False),
        ("http://host.test.evil.example", False),
        ("http://host.test:8080", False),
        ("https://shop.example.evil.example", False),
        ("null", False),
        ("", False),
        ("http://[host.test", False),
    ],
)
async def test_pages_of_other_origins_open_no_socket(origin: str, may: bool) -> None:
    async with open_world(allowed_origins=["https://shop.example"]) as world, socket(world, "ana", origin=origin) as connection:
        if may:
            assert connection.sent[0]["type"] == "websocket.accept"
        else:
            await connection.ends()
            assert (connection.status, connection.problem["code"]) == (403, "stream:error:origin")


async def test_no_origin_is_that_of_a_program() -> None:
    async with open_world() as world, socket(world, "ana") as connection:
        assert connection.sent[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "may"),
    [
        ("wss", "shop.example:443", "https://shop.example", True),
        ("wss", "shop.example", "https://shop.example:443", True),
        ("wss", "shop.example", "http://shop.example", False),
        ("wss", "shop.example", "http://shop.example:443", False),
        ("ws", "shop.example:80", "http://shop.example", True),
        ("ws", "shop.example:443", "https://shop.example", True),
        ("ws", "shop.example", "https://shop.example", True),
        ("ws", "shop.example", "https://shop.example:8443", False),
        ("ws", "shop.example:8000", "http://shop.example", False),
        ("ws", "[::1]:8000", "http://[::1]:8000", True),
    ],
)
async def test_a_page_is_the_hosts_own_if_scheme_host_and_port_are(scheme: str, host: str, origin: str, may: bool) -> None:
    async with open_world() as world:

        async def at(scope: Any, receive: Any, send: Any) -> None:
            headers = [(name, host.encode() if name == b"host" else value) for name, value in scope["headers"]]
            await mounted(world)({**scope, "scheme": scheme, "headers": headers}, receive, send)

        async with socket(world, "ana", origin=origin, app=at) as connection:
            await connection.until(lambda: connection.sent)
            assert (connection.sent[0]["type"] == "websocket.accept") is may


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("https://chat.example", True),
        ("https://CHAT.example:443", True),
        ("http://chat.example", False),
        ("http://host.test", False),
        ("null", False),
    ],
)
async def test_with_a_public_url_only_its_pages_are_the_hosts_own(origin: str, may: bool) -> None:
    async with open_world(public_url="https://chat.example/beta") as world, socket(world, "ana", origin=origin) as ana:
        await ana.until(lambda: ana.sent)
        assert (ana.sent[0]["type"] == "websocket.accept") is may


async def test_access_ends_with_a_code_and_a_reason() -> None:
    async with open_world() as world, socket(world, "max") as left, socket(world, "ana") as stays:
        await world.kit.as_user("max").members.remove(world.conversation, world.members["max"])
        await left.ends()
        assert left.close_frame == (1008, "conversation:error:not-found")
        await stays.until(lambda: events(stays))
        await world.kit.stop()
        await stays.ends()
        assert stays.close_frame == (1001, "stream:error:stopping")


async def test_an_access_list_covers_what_is_read_and_what_is_sent() -> None:
    async with open_world() as world:

        def bearer(methods: list[str]) -> str:
            acl = {"paths": {"/*/conversations/**": {"methods": methods}}}
            return f"Bearer {make_token(keys(APP)[0], APP, sub='ana', ttl=60, acl=acl)}"

        async with socket(world, None, authorization=bearer(["POST"])) as refused:
            await refused.ends()
            assert refused.problem["code"] == "system:error:permission"
        async with socket(world, None, authorization=bearer(["GET"])) as reader:
            answer = await answer_to(reader, {"tid": 1, "type": "text", "body": {"text": "x"}})
            assert (answer["rid"], answer["code"]) == (1, "system:error:permission")
        async with socket(world, None, authorization=bearer(["GET", "POST"])) as both:
            assert "id" in await answer_to(both, {"type": "text", "body": {"text": "x"}})


async def test_a_users_first_visit_may_be_a_socket() -> None:
    def who(scope: Any) -> str:
        return str(dict(scope["headers"]).get(b"x-user", b"").decode())

    kit = ConversationKit(storage="memory://", auth=HostAuthenticator(who, create_users=True))
    async with open_world(kit, populate=False) as world:
        world.conversation = (await kit.conversations.create("room")).id
        async with socket(world, None, x_user="ana") as refused:
            await refused.ends()
            assert refused.problem["code"] == "conversation:error:not-found"
        await kit.members.join(world.conversation, user_name="ana")
        async with socket(world, None, x_user="ana") as ana:
            assert "id" in await answer_to(ana, {"type": "text", "body": {"text": "x"}})


async def test_a_quiet_socket_has_heartbeats() -> None:
    async with open_world(stream_limits=StreamLimits(heartbeat_seconds=0.02)) as world, socket(world, "ana") as ana:
        await ana.until(lambda: ana.frames[:3] == [{"cursor": "5-0"}, {}, {}])


CLOSED = RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")
"""What uvicorn raises between the client's close and the message that tells of it."""


@pytest.mark.parametrize("refusal", [OSError("The client has gone."), CLOSED], ids=["OSError", "RuntimeError"])
@pytest.mark.parametrize("open_", [stream, socket])
async def test_what_comes_while_a_client_goes_is_no_error(open_: Any, refusal: Exception) -> None:
    async with open_world() as world:
        async with open_(world) as ana:
            await world.say()
            await ana.until(lambda: b"hello" in ana.body or ana.frames)
            ana.refuses = refusal
            await world.say()
            await ana.ends()
        assert nobody_is_left(world)


@pytest.mark.parametrize("refusal", [OSError("The client has gone."), CLOSED], ids=["OSError", "RuntimeError"])
@pytest.mark.parametrize("open_", [stream, socket])
async def test_a_client_that_goes_before_it_is_told_of_the_end_is_no_error(open_: Any, refusal: Exception) -> None:
    async with open_world() as world:
        async with open_(world) as ana:
            ana.refuses = refusal
            await world.kit.conversations.delete(world.conversation)
            await ana.ends()
        assert nobody_is_left(world)


@pytest.mark.parametrize("refusal", [OSError("The client has gone."), CLOSED], ids=["OSError", "RuntimeError"])
async def test_an_answer_to_a_client_that_goes_is_no_error(refusal: Exception) -> None:
    async with open_world() as world:
        async with socket(world) as ana:
            ana.refuses = refusal
            await ana.say({"type": "no such type at all"})
            await ana.ends()
        assert nobody_is_left(world)


async def test_a_client_that_goes_before_it_is_refused_is_no_error() -> None:
    async with open_world() as world:
        app = mounted(world)

        async def without_client(scope: Scope, receive: Receive, send: Send) -> None:
            async def gone(message: Message) -> None:
                raise OSError("The client has gone.")

            await app(scope, receive, gone)

        async with socket(world, "dee", app=without_client) as dee:
            await dee.ends()
