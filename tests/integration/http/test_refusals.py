"""Refused requests are recorded: for the log and for receivers, without secrets and within bounds."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator, RequestRefused
from conversation_kit.auth import make_token
from conversation_kit.http.serving import refusals
from tests.integration.live.connections import socket, stream
from tests.support.world import APP, World, keys, open_world

pytestmark = pytest.mark.anyio

LOGGER = "conversation_kit.refused"


def listening(world: World) -> list[RequestRefused]:
    told: list[RequestRefused] = []
    world.kit.on(RequestRefused)(told.append)
    return told


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


async def test_a_refusal_says_who_wanted_what_and_which_code_it_got(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        told = listening(world)
        secret = f"Bearer {make_token(keys('mallory')[0], APP)}"
        await world.call("GET", "/users", "ana")
        await world.call("GET", "/users", None, headers={"Authorization": secret})
        await world.call("GET", f"{world.path}/events", "bo")
        await world.call("GET", "/users", "nobody")
        assert [(signal.application_id, signal.operation, signal.status, signal.code) for signal in told] == [
            (APP, "getUsers", 403, "system:error:permission"),
            ("", "getUsers", 401, "system:error:invalid-token"),
            (APP, "getEvents", 403, "event:error:not-joined"),
            (APP, "getUsers", 403, "system:error:permission"),
        ]
        assert [signal.principal.user_name if signal.principal else None for signal in told] == ["ana", None, "bo", "nobody"]
        assert lines(caplog)[:2] == [
            "refused with 403 system:error:permission: getUsers by 'ana' of 'app-1'",
            "refused with 401 system:error:invalid-token: getUsers by nobody known",
        ]
        assert secret[7:] not in caplog.text


async def test_what_is_not_a_refusal_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        told = listening(world)
        await world.call("GET", "/conversations/CON-none", "ana")
        await world.call("POST", f"{world.path}/events", "ana", json={"type": 7})
        await world.call("PATCH", "/users", "ana")
        await world.say("hello")
        assert told == []
        assert lines(caplog) == []


async def test_streams_sockets_and_their_frames_are_recorded_too() -> None:
    async with open_world() as world:
        told = listening(world)
        async with stream(world, "bo") as refused:
            await refused.ends()
        async with socket(world, "bo") as refused:
            await refused.ends()
        async with socket(world, "ana", origin="https://evil.example") as refused:
            await refused.ends()
        async with socket(world, "ana") as ana:
            await ana.say({"type": "text", "body": {"text": "x"}, "from": world.members["max"]})
            await ana.until(lambda: len(told) == 4)
        assert [(signal.operation, signal.code) for signal in told] == [
            ("getEvents", "event:error:not-joined"),
            ("getEvents", "event:error:not-joined"),
            (None, "stream:error:origin"),
            ("createEvent", "event:error:permission-denied"),
        ]


async def test_who_hammers_is_counted_and_neither_fills_the_log_nor_keeps_receivers_busy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr("conversation_kit.http.serving.refusals.monotonic", lambda: now[0])
    async with open_world() as world:
        told = listening(world)
        for _ in range(int(refusals.BURST) + 20):
            await world.call("GET", "/users", None)
        assert len(told) == len(lines(caplog)) == refusals.BURST
        now[0] += 0.1
        await world.call("GET", "/users", None)
        assert told[-1].unrecorded == 20
        assert lines(caplog)[-1].endswith("; 20 more were not recorded")


async def test_a_name_cannot_write_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world(populate=False) as world:
        await world.call("GET", "/users", "ana\nERROR all is lost")
        assert lines(caplog) == [r"refused with 403 system:error:permission: getUsers by 'ana\nERROR all is lost' of 'app-1'"]


async def test_a_token_that_has_expired_is_everyday_business(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    async with open_world() as world:
        expired = make_token(keys(APP)[0], APP, ttl=60, now=1_000_000)
        await world.call("GET", "/users", None, headers={"Authorization": f"Bearer {expired}"})
    assert [record.levelname for record in caplog.records if record.name == LOGGER] == ["INFO"]


async def test_the_client_has_its_answer_before_receivers_are_waited_for() -> None:
    async with open_world() as world:
        order: list[str] = []
        world.kit.on(RequestRefused)(lambda signal: order.append("receiver"))
        kit: Any = world.kit
        scope = {"type": "http", "method": "GET", "path": "/users", "headers": [], "query_string": b"", "scheme": "http"}

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            order.append(message["type"])

        await kit(scope, receive, send)
        assert order == ["http.response.start", "http.response.body", "receiver"]


def test_nothing_can_be_written_within_a_refusal() -> None:
    kit = ConversationKit(storage="sqlite://", auth=HostAuthenticator(lambda scope: None))
    with pytest.raises(ConfigurationError, match="no transaction"):
        kit.within(RequestRefused)(lambda signal, session: None)
