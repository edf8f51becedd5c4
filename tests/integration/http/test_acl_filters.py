"""Filters of an access list hold for what an operation reads, and for nothing else that a request carries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversation_kit.auth import make_token
from conversation_kit.http.beta.schemas.bodies import EventBody
from tests.integration.live.connections import socket, stream
from tests.support.world import APP, World, keys, open_world

pytestmark = pytest.mark.anyio


def bearer(filters: dict[str, Any], path: str = "/**", sub: str | None = None, **more: Any) -> str:
    acl = {"paths": {path: {"filters": filters}, **more}}
    return "Bearer " + make_token(keys(APP)[0], APP, sub=sub, acl=acl)


async def status(world: World, method: str, path: str, filters: dict[str, Any], **options: Any) -> int:
    response = await world.call(method, path, None, headers={"Authorization": bearer(filters)}, **options)
    return response.status_code


async def test_a_body_that_a_get_ignores_satisfies_no_filter() -> None:
    async with open_world() as world:
        body = {"order": "desc", "page_size": 2}
        for path in (f"{world.path}/events", "/users", "/conversations", f"{world.path}/members", "/legs"):
            assert await status(world, "GET", path, body, json=body) == 403
            assert await status(world, "GET", f"{path}?order=asc&page_size=2", body, json=body) == 403
            assert await status(world, "GET", f"{path}?order=desc&page_size=2", body) == 200


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "", "order=desc"),
        ("GET", "/members", "date_start=2026-01-01T00:00:00Z"),
        ("GET", "/events", "after=3"),
        ("DELETE", "", "from=MEM-1"),
        ("PUT", "", "name=x"),
    ],
)
async def test_a_parameter_that_the_operation_ignores_satisfies_no_filter(method: str, path: str, query: str) -> None:
    name, _, value = query.partition("=")
    async with open_world() as world:
        assert await status(world, method, f"{world.path}{path}?{query}", {name: value}) == 403


async def test_a_field_of_the_body_that_the_operation_ignores_satisfies_no_filter() -> None:
    async with open_world() as world:
        event = {"type": "text", "body": {"text": "x"}, "room": "lobby", "sender": "MEM-1"}
        for name in ("room", "sender"):
            assert await status(world, "POST", f"{world.path}/events", {name: event[name]}, json=event) == 403
        assert await status(world, "POST", f"{world.path}/events", {"type": "text"}, json=event) == 201


async def test_what_is_deleted_by_older_clients_with_a_body_is_seen() -> None:
    async with open_world() as world:
        ana, path = world.members["ana"], f"{world.path}/members/{world.members['bo']}"
        assert await status(world, "DELETE", path, {"from": ana}, json={"from": world.members["max"]}) == 403
        assert await status(world, "DELETE", f"{path}?from={ana}", {"from": ana}, json={"from": world.members["max"]}) == 403
        assert await status(world, "DELETE", path, {"from": ana}, json={"from": ana}) == 200


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
"""Texts that an event may have."""


@given(first=TEXTS, second=TEXTS)
@settings(max_examples=50)
def test_of_a_key_that_a_body_has_twice_the_filter_sees_the_one_that_counts(first: str, second: str) -> None:
    # Two parsers look at one text; where they took different values a filter would hold for what does not happen.
    text = b'{"type": "text", "to": %s, "to": %s}' % tuple(json.dumps(value).encode() for value in ("a" + first, "b" + second))
    assert EventBody.picked(text)["to"] == EventBody.model_validate_json(text).to


async def test_a_socket_is_opened_by_what_its_query_says_and_never_waits_for_a_body() -> None:
    async with open_world() as world:
        opens = bearer({"after": "0"}, sub="ana")
        async with socket(world, None, "after=0", authorization=opens) as ana:
            await ana.until(lambda: len(ana.frames) >= 5)
            assert ana.sent[0]["type"] == "websocket.accept"
        for query in ("", "after=1", "after=0&after=1"):
            async with socket(world, None, query, authorization=opens) as refused:
                await refused.ends()
                assert (refused.status, refused.problem["code"]) == (403, "system:error:permission")
        # A parameter of the list is none of the stream's.
        async with socket(world, None, "order=desc", authorization=bearer({"order": "desc"}, sub="ana")) as refused:
            await refused.ends()
            assert refused.status == 403


async def test_a_feeds_socket_with_a_filter_opens_or_is_refused_at_once() -> None:
    async with open_world() as world:
        path = f"/users/{world.users['ana']}/events"
        for query, accepted in (("after=0", True), ("after=1", False)):
            async with socket(world, None, query, path=path, authorization=bearer({"after": "0"}, sub="ana")) as feed:
                assert (feed.sent[0]["type"] == "websocket.accept") is accepted


async def test_the_position_in_a_header_goes_before_the_one_in_the_query() -> None:
    async with open_world() as world:
        opens = bearer({"after": "4"}, sub="ana")
        for id, expected in (("4", 200), ("1", 403)):
            async with stream(world, None, "after=4", authorization=opens, last_event_id=id) as ana:
                assert ana.status == expected


async def test_a_frame_is_judged_by_what_a_post_would_read_of_it() -> None:
    async with open_world() as world:
        events = {"/*/conversations/*/events": {"methods": ["GET"]}}
        for filters, accepted in (({"type": "text"}, True), ({"tid": "1"}, False), ({"conversation_id": world.conversation}, False)):
            acl = bearer(filters, "/*/conversations/**", "ana", **events)
            async with socket(world, None, authorization=acl) as ana:
                frame = {"tid": "1", "type": "text", "body": {"text": "x"}, "conversation_id": world.conversation}
                await ana.say(frame)
                await ana.until(lambda socket=ana: [frame for frame in socket.frames if "rid" in frame])  # type: ignore[misc]
                answer = next(frame for frame in ana.frames if "rid" in frame)
                assert ("id" in answer) is accepted, answer
