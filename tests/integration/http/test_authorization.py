"""The matrix of rights: 22 operations, each kind of caller."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from conversation_kit import AccessRequest
from conversation_kit.auth import make_token
from tests.integration.conformance.contract import CONTRACT
from tests.support.snapshots import snapshot
from tests.support.world import APP, World, keys, open_world, token

pytestmark = pytest.mark.anyio

CALLERS = ("admin", "ana", "bo", "cy", "dee", "stranger admin")
"""An admin, a joined member, an invited one, one that has left, a user who is no member, and the admin of another application."""

MATRIX: dict[str, tuple[int, int, int, int, int, int]] = {
    "createConversation": (200, 200, 200, 200, 200, 200),
    "listConversations": (200, 403, 403, 403, 403, 200),
    "retrieveConversation": (200, 200, 200, 404, 404, 404),
    "replaceConversation": (200, 200, 403, 404, 404, 404),
    "deleteConversation": (200, 403, 403, 404, 404, 404),
    "createMember": (201, 201, 403, 404, 404, 404),
    "getMembers": (200, 200, 200, 404, 404, 404),
    "getMember": (200, 200, 200, 404, 404, 404),
    "updateMember": (200, 403, 200, 404, 404, 404),
    "deleteMember": (200, 403, 403, 404, 404, 404),
    "createEvent": (201, 201, 403, 404, 404, 404),
    "getEvents": (200, 200, 403, 404, 404, 404),
    "getEvent": (200, 200, 403, 404, 404, 404),
    "deleteEvent": (200, 200, 403, 404, 404, 404),
    "getUsers": (200, 403, 403, 403, 403, 200),
    "createUser": (200, 403, 403, 403, 403, 200),
    "getUser": (200, 200, 403, 403, 403, 404),
    "updateUser": (200, 200, 403, 403, 403, 404),
    "deleteUser": (200, 403, 403, 403, 403, 404),
    "getuserConversations": (200, 200, 403, 403, 403, 404),
    "listLegs": (200, 403, 403, 403, 403, 200),
    "deleteLeg": (200, 403, 403, 403, 403, 404),
}
BODIES: dict[str, Any] = {
    "createConversation": {"display_name": "New"},
    "replaceConversation": {"display_name": "Changed"},
    "updateMember": {"action": "join"},
    "createEvent": {"type": "text", "body": {"text": "hi"}},
    "createUser": {"name": "newcomer"},
    "updateUser": {"display_name": "Changed"},
}


def test_the_matrix_covers_all_operations() -> None:
    assert set(MATRIX) == set(CONTRACT)


class Target:
    """One request for each operation, against what is there."""

    def __init__(self, world: World, event: str, leg: str, outsider: str) -> None:
        self.world = world
        self.ids = {
            "conversation_id": world.conversation,
            "member_id": world.members["max"],
            "user_id": world.users["ana"],
            "event_id": event,
            "leg_id": leg,
        }
        self.outsider = outsider

    async def call(self, operation_id: str, who: str | None, **options: Any) -> Any:
        ids = {**self.ids, "member_id": self.world.members["bo"]} if operation_id == "updateMember" else self.ids
        body = BODIES.get(operation_id)
        if operation_id == "createMember":
            body = {"action": "invite", "user_id": self.outsider, "channel": {"type": "app"}}
        if body is not None:
            options["json"] = body
        contract = CONTRACT[operation_id]
        return await self.world.call(contract["method"], contract["path"].format(**ids), who, **options)


async def make_target(world: World) -> Target:
    event = await world.say()
    leg = await world.kit.legs.start(world.conversation, "phone")
    outsider = await world.kit.users.create("eve")
    return Target(world, event, leg.id, outsider.id)


@pytest.mark.parametrize("operation_id", MATRIX)
async def test_each_caller_gets_what_is_theirs_and_nothing_else(operation_id: str) -> None:
    for caller, status in zip(CALLERS, MATRIX[operation_id], strict=True):
        async with open_world() as world:
            target = await make_target(world)
            before = await snapshot(world)
            response = await target.call(operation_id, caller)
            assert response.status_code == status, (caller, response.text)
            if status >= 400:
                assert response.json()["code"]
                assert await snapshot(world) == before
            if caller == "stranger admin":
                assert await snapshot(world) == before
                for secret in (world.conversation, *world.users.values(), *world.members.values(), target.ids["leg_id"]):
                    assert status >= 400 or secret not in response.text


def broken_tokens() -> dict[str, dict[str, str]]:
    good = token(APP)
    head, payload, signature = good.split(".")
    expired = make_token(keys(APP)[0], APP, ttl=60, now=1_000_000)
    return {
        "no header": {},
        "another scheme": {"Authorization": f"Basic {good}"},
        "no token": {"Authorization": "Bearer"},
        "garbage": {"Authorization": "Bearer garbage"},
        "no signature": {"Authorization": f"Bearer {head}.{payload}."},
        "a changed payload": {"Authorization": f"Bearer {head}.{payload[:-2]}AA.{signature}"},
        "another's key": {"Authorization": f"Bearer {make_token(keys('mallory')[0], APP)}"},
        "an unknown application": {"Authorization": f"Bearer {make_token(keys(APP)[0], 'nobody')}"},
        "an unknown user": {"Authorization": f"Bearer {token(APP, 'nobody')}"},
        "expired": {"Authorization": f"Bearer {expired}"},
    }


@pytest.mark.parametrize("operation_id", MATRIX)
async def test_without_a_good_token_nothing_is_answered(operation_id: str) -> None:
    async with open_world() as world:
        target = await make_target(world)
        before = await snapshot(world)
        for name, headers in broken_tokens().items():
            response = await target.call(operation_id, None, headers=headers)
            refused = (401, 403) if name == "an unknown user" else (401,)
            assert response.status_code in refused, (name, response.text)
            if response.status_code == 401:
                expected = "expired-token" if name == "expired" else "invalid-token"
                assert response.json()["code"] == f"system:error:{expected}"
                assert response.headers["www-authenticate"] == "Bearer"
        assert await snapshot(world) == before


@pytest.mark.parametrize("operation_id", MATRIX)
async def test_a_token_is_good_for_what_its_acl_covers(operation_id: str) -> None:
    readable = {"paths": {"/*/conversations/**": {"methods": ["GET"]}}}
    async with open_world() as world:
        target = await make_target(world)
        contract = CONTRACT[operation_id]
        for acl, covered in (
            ({"paths": {}}, False),
            (readable, contract["method"] == "GET" and contract["path"].startswith("/conversations")),
            ({"paths": {"/v1" + contract["path"].partition("/{")[0] + "/**": {}}}, True),
        ):
            headers = {"Authorization": f"Bearer {make_token(keys(APP)[0], APP, acl=acl)}"}
            response = await target.call(operation_id, None, headers=headers)
            assert (response.status_code < 400) is covered, (acl, response.text)
            if not covered:
                assert response.json()["code"] == "system:error:permission"


async def test_a_filter_in_an_acl_looks_at_the_query_and_the_body() -> None:
    acl = {"paths": {"/*/conversations/*/events": {"filters": {"type": "text"}}}}
    async with open_world() as world:
        headers = {"Authorization": f"Bearer {make_token(keys(APP)[0], APP, acl=acl)}"}
        for type, status in (("text", 201), ("custom:x", 403)):
            body = {"type": type, "body": {"text": "x"}}
            response = await world.call("POST", f"{world.path}/events", None, headers=headers, json=body)
            assert response.status_code == status
        assert (await world.call("GET", f"{world.path}/events", None, headers=headers)).status_code == 403
        broken = {**headers, "Content-Type": "application/json"}
        assert (await world.call("POST", f"{world.path}/events", None, headers=broken, content=b"{")).status_code == 403


async def test_a_filter_on_a_body_is_not_satisfied_by_the_query() -> None:
    acl = {"paths": {"/*/users": {"filters": {"name": "allowed"}}}}
    async with open_world(populate=False) as world:
        headers = {"Authorization": f"Bearer {make_token(keys(APP)[0], APP, acl=acl)}"}
        for query, name, status in (
            ("", "evil", 403),
            ("?name=allowed", "evil", 403),
            ("?name=evil", "allowed", 400),
            ("", "allowed", 200),
        ):
            response = await world.call("POST", f"/users{query}", None, headers=headers, json={"name": name})
            assert response.status_code == status, (query, name)
        assert [user.name for user in (await world.kit.users.list()).items] == ["allowed"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_authorize_callable_overrules_the_default_policy(asynchronous: bool) -> None:
    asked: list[AccessRequest] = []

    def decide(request: AccessRequest) -> bool | None:
        asked.append(request)
        if request.action == "members.remove":
            return True
        return False if request.action == "events.create" else None

    async def decide_later(request: AccessRequest) -> bool | None:
        return decide(request)

    async with open_world(authorize=decide_later if asynchronous else decide) as world:
        asked.clear()
        assert await world.json("DELETE", f"{world.path}/members/{world.members['max']}", "ana") == {}
        body = {"type": "text", "body": {"text": "x"}}
        for who in ("ana", "admin"):
            answer = await world.json("POST", f"{world.path}/events", who, status=403, json=body)
            assert answer["code"] == "system:error:permission"
        assert (await world.json("GET", "/users", "ana", status=403))["code"] == "system:error:permission"
        await world.kit.events.create(world.conversation, "custom:x")
    request = next(request for request in asked if request.action == "members.remove")
    assert request.principal.user_name == "ana"
    assert (request.conversation_id, request.member_id) == (world.conversation, world.members["max"])


async def test_a_principal_whom_authorize_lets_through_keeps_its_name() -> None:
    async with open_world(authorize=lambda request: True) as world:
        body = {"action": "join", "user_id": world.users["dee"], "channel": {"type": "app"}}
        made = await world.json("POST", f"{world.path}/members", "ana", status=201, json=body)
        assert made["initiator"]["joined"] == {"user_id": world.users["ana"], "member_id": world.members["ana"]}


async def test_authorize_lifts_rights_and_not_identity() -> None:
    async with open_world(authorize=lambda request: True) as world:
        text = {"type": "text", "body": {"text": "x"}}
        made = await world.json("POST", f"{world.path}/events", "ana", status=201, json=text)
        assert (await world.json("GET", f"{world.path}/events/{made['id']}"))["from"] == world.members["ana"]
        as_max = {**text, "from": world.members["max"]}
        answer = await world.json("POST", f"{world.path}/events", "ana", status=403, json=as_max)
        assert answer["code"] == "event:error:permission-denied"
        made = await world.json("POST", f"{world.path}/events", "dee", status=201, json={"type": "custom:x"})
        assert "from" not in await world.json("GET", f"{world.path}/events/{made['id']}")
        invited = await world.kit.as_user("ana").members.invite(world.conversation, user_name="dee")
        assert invited.invited_by == world.users["ana"]


async def test_authorize_is_told_the_user_acted_upon_however_a_client_names_it() -> None:
    asked: list[tuple[str | None, str | None]] = []

    def refuse_bo(request: AccessRequest) -> bool | None:
        asked.append((request.user_id, request.action))
        return None

    async with open_world(authorize=refuse_bo) as world:
        asked.clear()
        await world.call("POST", f"{world.path}/members", "ana", json={"action": "invite", "user_name": "dee"})
        await world.call("POST", f"{world.path}/members", "dee", json={"action": "join"})
        assert asked == [(world.users["dee"], "members.invite"), (world.users["dee"], "members.join")]


async def test_an_authorize_callable_that_hangs_or_raises_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.services.context.AUTHORIZE_SECONDS", 0.05)
    broken = False

    async def decide(request: AccessRequest) -> bool | None:
        if not broken:
            return None
        if request.action == "members.list":
            await anyio.sleep_forever()
        raise RuntimeError("boom")

    async with open_world(authorize=decide) as world:
        broken = True
        for path in ("/members", "/events"):
            answer = await world.json("GET", world.path + path, "ana", status=503)
            assert answer["code"] == "system:error:hook-failed"


async def test_who_is_nobody_cannot_tell_what_exists() -> None:
    async with open_world() as world:
        await world.kit.users.delete(world.users["dee"])
        for conversation in (world.conversation, "CON-none"):
            for method, path, body in (
                ("PUT", "", {"name": "x"}),
                ("DELETE", "", None),
                ("POST", "/events", {"type": "custom:x"}),
                ("POST", "/members", {"action": "join"}),
                ("DELETE", "/members/MEM-none", None),
                ("DELETE", "/events/1", None),
                ("GET", "/events", None),
            ):
                options = {} if body is None else {"json": body}
                await world.json(method, f"/conversations/{conversation}{path}", "dee", status=401, **options)
