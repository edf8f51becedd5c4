"""Whatever is sent: a JSON error with a code, an unchanged store, and never a 5xx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit.domain.values.checks import MAX_DEPTH
from tests.support.snapshots import snapshot
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def event(body: str) -> bytes:
    return f'{{"type":"custom:x","body":{body}}}'.encode()


BODIES: dict[str, tuple[bytes, int]] = {
    "malformed": (b'{"type":', 400),
    "not an object": (b"[1]", 400),
    "null": (b"null", 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "not UTF-8": (b'{"type":"custom:x","body":{"a":"\xff"}}', 400),
    "NaN": (event('{"a":NaN}'), 400),
    "Infinity": (event('{"a":[-Infinity]}'), 400),
    "a float too large": (event('{"a":1e999}'), 400),
    "a NUL": (event('{"a":"x\\u0000y"}'), 400),
    "a NUL in a key": (event('{"x\\u0000y":1}'), 400),
    "half a surrogate pair": (event('{"a":"\\ud800"}'), 400),
    "half a surrogate pair in a key": (event('{"\\udfff":1}'), 400),
    "2**63": (event('{"a":9223372036854775808}'), 400),
    "2**53 + 1": (event('{"a":[{"b":9007199254740993}]}'), 400),
    "-2**53 - 1": (event('{"a":-9007199254740993}'), 400),
    "5,000 digits": (event('{"a":' + "9" * 5000 + "}"), 400),
    "one level too deep": (event(nested(MAX_DEPTH + 1)), 400),
    "depth 1,000": (event(nested(1000)), 400),
    "depth 100,000": (event("[" * 100_000 + "]" * 100_000), 400),
    "a body that is an array": (event("[]"), 400),
    "a type that is a number": (b'{"type":5}', 400),
    "an empty type": (b'{"type":""}', 400),
    "a from that is an object": (b'{"type":"custom:x","from":{}}', 400),
    "a from with a NUL": (b'{"type":"custom:x","from":"MEM\\u0000"}', 400),
    "10 MB": (event('{"a":"' + "x" * 10_000_000 + '"}'), 413),
    "1 MB and a little": (event('{"a":"' + "x" * 1_000_000 + '"}'), 413),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{folder}/chat.db"])
async def test_a_bad_body_is_refused_and_changes_nothing(name: str, url: str, tmp_path: Path) -> None:
    body, status = BODIES[name]
    async with open_world(make_kit(url.format(folder=tmp_path))) as world:
        before = await snapshot(world)
        answer = await world.json("POST", f"{world.path}/events", content=body, headers=JSON, status=status)
        assert answer["code"] == ("http:error:payload-too-large" if status == 413 else "http:error:validation-fail")
        assert answer["description"]
        assert answer["status"] == status
        assert await snapshot(world) == before


async def test_a_body_that_grows_too_long_while_it_arrives_is_refused_before_it_has_arrived() -> None:
    async with open_world(populate=False) as world:
        received, sent = 0, []

        async def receive() -> dict[str, Any]:
            nonlocal received
            received += 1
            return {"type": "http.request", "body": b"x" * 100_000, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {world.token('admin')}".encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/conversations", "headers": headers, "query_string": b""}
        await world.kit(scope, receive, send)
        assert sent[0]["status"] == 413
        assert received == 11


async def test_a_client_that_goes_away_while_it_sends_is_not_answered() -> None:
    async with open_world(populate=False) as world:

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        headers = [(b"authorization", f"Bearer {world.token('admin')}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/conversations", "headers": headers, "query_string": b""}
        await world.kit(scope, receive, send)
        assert (await world.kit.conversations.list()).total == 0


async def test_the_deepest_and_largest_that_is_accepted_reads_back_unchanged() -> None:
    async with open_world() as world:
        for body in (json.loads(nested(MAX_DEPTH)), {"a": [2**53, -(2**53), 1e308, 5e-324, 0.1, -0.0]}, {"\u2028": "\U0001f388\x7f"}):
            made = await world.json("POST", f"{world.path}/events", status=201, json={"type": "custom:x", "body": body})
            assert (await world.json("GET", f"{world.path}/events/{made['id']}"))["body"] == body


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/xml", "multipart/form-data", "application/json; charset=latin-1", ""]
)
async def test_a_body_that_is_not_declared_as_json_is_refused(content_type: str | None) -> None:
    async with open_world(populate=False) as world:
        headers = {} if content_type is None else {"Content-Type": content_type}
        answer = await world.json("POST", "/users", content=b'{"name":"x"}', headers=headers, status=415)
        assert answer["code"] == "http:error:unsupported-media-type"
        assert (await world.json("GET", "/users")) == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON; charset=UTF-8", "application/vnd.api+json", "application/json;"]
)
async def test_json_is_taken_under_its_several_names(content_type: str) -> None:
    async with open_world(populate=False) as world:
        await world.json("POST", "/users", content=b'{"name":"x"}', headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=101",
        "page_size=abc",
        "page_size=",
        "page_size=-1",
        "page_size=1.5",
        "page_size=%00",
        "page_size=%D9%A1",
        "page_size=99999999999999999999",
        "record_index=-1",
        "record_index=x",
        "record_index=9223372036854775808",
        "order=up",
        "date_start=yesterday",
        "date_start=2018-13-01",
        "date_end=0000-00-00",
        "date_end=5",
        "date_start=9999-12-31T23:59:59-23:59",
    ],
)
async def test_a_bad_query_is_refused_by_the_parameters_name(query: str) -> None:
    async with open_world(populate=False) as world:
        for path in ("/conversations", "/legs"):
            answer = await world.json("GET", f"{path}?{query}", status=400)
            assert answer["code"] == "http:error:validation-fail"
            assert list(answer["error"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/conversations/",
        "//conversations",
        "/conversations//events",
        "/conversation",
        "/users/x/legs",
        "/%00",
        "/conversations/%00",
        "/conversations/a%E2%80%8Bb",
    ],
)
async def test_an_unknown_path_is_not_found_in_json(path: str) -> None:
    async with open_world(populate=False, docs=False) as world:
        answer = await world.json("GET", path, status=404)
        assert answer["code"] == "http:error:not-found"


async def test_an_unknown_method_is_told_which_ones_there_are() -> None:
    async with open_world(populate=False) as world:
        for method in ("PATCH", "DELETE", "TRACE", "PROPFIND", "get"):
            response = await world.call(method, "/conversations")
            if method == "get":
                continue
            assert response.status_code == 405
            assert response.json()["code"] == "http:error:method-not-allowed"
            assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        options = await world.call("OPTIONS", "/conversations", None)
        assert options.status_code == 204
        assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert (await world.call("OPTIONS", "/nothing", None)).status_code == 404
        head = await world.call("HEAD", "/conversations")
        assert head.status_code == 200
        assert head.content == b""
        assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("id", ["CON-none", "x" * 255, "x" * 5000, "🎈", "%C2%85", "'; drop table", "%ff"])
async def test_an_unknown_id_is_not_found(id: str) -> None:
    async with open_world() as world:
        for method, path in (
            ("GET", f"/conversations/{id}"),
            ("DELETE", f"/conversations/{id}"),
            ("GET", f"/conversations/{id}/events"),
            ("GET", f"/users/{id}"),
            ("DELETE", f"/users/{id}"),
            ("DELETE", f"/legs/{id}"),
            ("GET", f"{world.path}/members/{id}"),
            ("GET", f"{world.path}/events/{id}"),
        ):
            answer = await world.json(method, path, status=404)
            assert answer["code"].endswith(":error:not-found")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
OPERATIONS = [
    ("POST", "/conversations"),
    ("PUT", "{conversation}"),
    ("POST", "{conversation}/members"),
    ("PUT", "{conversation}/members/MEM-none"),
    ("POST", "{conversation}/events"),
    ("POST", "/users"),
    ("DELETE", "{conversation}/members/MEM-none"),
]
KEYS = st.sampled_from(
    [
        "name",
        "display_name",
        "image_url",
        "numbers",
        "properties",
        "action",
        "user_id",
        "user_name",
        "member_id",
        "channel",
        "media",
        "type",
    ]
    + ["knocking_id", "member_id_inviting", "from", "to", "body", "channels"]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(operation=st.sampled_from(OPERATIONS), body=st.dictionaries(KEYS, json_values, max_size=5) | json_values)
def test_no_json_makes_a_server_error(operation: tuple[str, str], body: Any) -> None:
    from anyio.from_thread import start_blocking_portal

    async def run() -> None:
        async with open_world() as world:
            before = await snapshot(world)
            method, path = operation
            content = json.dumps(body).encode()
            response = await world.call(method, path.format(conversation=world.path), content=content, headers=JSON)
            await check(world, response, before)

    with start_blocking_portal() as portal:
        portal.call(run)


async def check(world: World, response: httpx2.Response, before: Any) -> None:
    assert response.status_code < 500, response.text
    answer = response.json()
    if response.status_code >= 400:
        assert answer["code"]
        assert answer["description"]
        assert await snapshot(world) == before


async def test_a_megabyte_of_wrong_items_is_refused_in_a_few_words() -> None:
    async with open_world() as world:
        body = b'{"user_id":"x","channel":{"type":"app","leg_ids":[' + b"1," * 400_000 + b"1]}}"
        response = await world.call("POST", "/conversations/x/members", "dee", content=body, headers=JSON)
        assert response.status_code == 400
        assert len(response.content) < 10_000


async def test_a_channel_names_a_handful_of_legs_and_stays_small() -> None:
    async with open_world() as world:
        before = await snapshot(world)
        for channel in ({"type": "phone", "leg_ids": [str(number) for number in range(17)]}, {"type": "app", "x": "x" * 4096}):
            body = {"action": "join", "user_id": world.users["dee"], "channel": channel}
            assert (await world.call("POST", f"{world.path}/members", json=body)).status_code == 400
        body = {"action": "join", "user_id": world.users["dee"], "media": {"x": "x" * 4096}}
        assert (await world.call("POST", f"{world.path}/members", json=body)).status_code == 400
        assert await snapshot(world) == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_what_json_does_not_have_is_refused_also_where_nobody_reads_it(number: str) -> None:
    async with open_world() as world:
        headers = {"Content-Type": "application/json"}
        for body in (
            f'{{"type": "text", "body": {{"text": "x"}}, "originating_session": {number}}}',
            f'{{"type": "text", "body": {{"text": "x", "more": [{number}]}}}}',
        ):
            answer = await world.json("POST", f"{world.path}/events", "ana", status=400, content=body, headers=headers)
            assert answer["code"] == "http:error:validation-fail"
        fine = f'{{"type": "text", "body": {{"text": "{number}"}}}}'
        await world.json("POST", f"{world.path}/events", "ana", status=201, content=fine, headers=headers)


UNKNOWN = [
    ("GET", "/users", "nmae"),
    ("GET", "/conversations", "name"),
    ("GET", "{path}/members", "page"),
    ("GET", "{path}/events", "cursor"),
    ("DELETE", "{path}", "dry_run"),
    ("POST", "{path}/events", "type"),
]


@pytest.mark.parametrize(("method", "path", "name"), UNKNOWN)
async def test_a_parameter_that_the_operation_does_not_have_is_refused(method: str, path: str, name: str) -> None:
    async with open_world() as world:
        path = path.format(path=world.path)
        answer = await world.json(method, f"{path}?page_size=1&{name}=bo", status=400)
        assert name in answer["error"]
        assert "is no parameter of" in answer["description"]


async def test_what_clients_and_hosts_add_to_a_query_is_tolerated() -> None:
    async with open_world(host_parameters=["api_key"]) as world:
        for name in ("_", "_ts", "access_token", "cid", "tid", "client_ref", "originating_session", "api_key"):
            await world.json("GET", f"/users?page_size=1&{name}=x")
        many = "&".join(f"x{number}=1" for number in range(500))
        assert len((await world.json("GET", f"/users?{many}", status=400))["error"]) == 20
