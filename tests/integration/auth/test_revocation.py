"""Tokens that are no longer good: of a user who is gone, and revoked ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversation_kit import (
    AccessRequest,
    ConversationKit,
    Forbidden,
    HostAuthenticator,
    NotFound,
    Unauthenticated,
    UserUpdated,
)
from conversation_kit.auth import make_token
from conversation_kit.domain.rules import CREATION_LEEWAY, check_issued
from tests.integration.live.connections import socket, stream
from tests.support.world import APP, World, keys, make_kit, open_world

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def bearer(sub: str, ago: float = 0) -> dict[str, str]:
    return {"Authorization": "Bearer " + make_token(keys(APP)[0], APP, sub=sub, ttl=7200, now=time.time() - ago)}


REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/conversations/{room}/events", None),
    ("GET", "/conversations/{room}/events/1", None),
    ("GET", "/conversations/{room}", None),
    ("GET", "/conversations/{room}/members", None),
    ("GET", "/conversations/{room}/members/{member}", None),
    ("GET", "/users/{user}", None),
    ("GET", "/users/{user}/conversations", None),
    ("POST", "/conversations", {}),
    ("POST", "/conversations/{room}/events", {"type": "text", "body": {"text": "x"}}),
    ("POST", "/conversations/{room}/members", {"action": "invite", "user_name": "dee"}),
    ("POST", "/conversations/{room}/tickets", None),
    ("POST", "/users/{user}/tickets", None),
    ("PUT", "/conversations/{room}", {"display_name": "x"}),
    ("PUT", "/users/{user}", {"display_name": "x"}),
    ("DELETE", "/conversations/{room}/members/{member}", None),
    ("DELETE", "/conversations/{room}/events/5", None),
    ("DELETE", "/conversations/{room}", None),
]


async def statuses(world: World, headers: dict[str, str]) -> dict[tuple[str, str], tuple[int, str]]:
    ids = {"room": world.conversation, "user": world.users["ana"], "member": world.members["ana"]}
    found = {}
    for method, path, body in REQUESTS:
        options = {} if body is None else {"json": body}
        response = await world.call(method, path.format(**ids), None, headers=headers, **options)
        found[method, path] = (response.status_code, response.json().get("code", "") if response.status_code >= 400 else "")
    return found


async def recreated(world: World, name: str = "ana") -> None:
    """Somebody new takes the name, and is a member as the old one was."""
    await world.kit.users.delete(world.users[name])
    world.users[name] = (await world.kit.users.create(name)).id
    world.members[name] = (await world.kit.members.join(world.conversation, user_name=name)).id


@pytest.mark.parametrize("policy", [None, lambda request: True], ids=["the default policy", "an authorize that allows everything"])
@pytest.mark.parametrize("what", ["revoked", "of somebody else"])
async def test_a_token_that_is_no_longer_good_is_good_for_nothing(what: str, policy: Callable[[AccessRequest], bool | None] | None) -> None:
    async with open_world(authorize=policy) as world:
        old = bearer("ana", 100)
        if what == "revoked":
            # The users of a test are younger than its old tokens, so it is made now and revoked from a second that has yet to come.
            old = bearer("ana")
            assert (await world.call("GET", f"{world.path}/events", None, headers=old)).status_code == 200
            await world.kit.users.revoke_tokens(world.users["ana"], before=datetime.now(UTC) + timedelta(seconds=1))
        else:
            await recreated(world)
        before = await world.types()
        assert set((await statuses(world, old)).values()) == {(401, "system:error:invalid-token")}
        assert await world.types() == before
        for connect in (socket, stream):
            async with connect(world, None, authorization=old["Authorization"]) as refused:
                await refused.ends()
                assert refused.status == 401


async def test_a_token_from_after_the_revocation_is_good_again() -> None:
    async with open_world() as world:
        await world.kit.users.revoke_tokens(world.users["ana"], before=datetime.now(UTC) - timedelta(seconds=20))
        assert (await world.call("GET", f"{world.path}/events", None, headers=bearer("ana", 10))).status_code == 200
        assert (await world.call("GET", f"{world.path}/events", None, headers=bearer("ana", 21))).status_code == 401
        assert (await world.call("GET", f"{world.path}/events", None, headers=bearer("max", 21))).status_code == 200


async def test_a_revocation_is_kept_and_told_and_never_taken_back() -> None:
    async with open_world() as world:
        told: list[Any] = []
        world.kit.on(UserUpdated)(told.append)
        first = await world.kit.users.revoke_tokens(world.users["ana"])
        assert first.tokens_since is not None
        again = await world.kit.users.revoke_tokens(world.users["ana"], before=first.tokens_since - timedelta(days=1))
        assert again.tokens_since == first.tokens_since == (await world.kit.users.get(world.users["ana"])).tokens_since
        assert [signal.user.tokens_since for signal in told] == [first.tokens_since] * 2
        await world.kit.users.update(world.users["ana"], display_name="Ana")
        assert (await world.kit.users.get(world.users["ana"])).tokens_since == first.tokens_since
        with pytest.raises(NotFound):
            await world.kit.users.revoke_tokens("USR-none")


async def test_users_revoke_no_tokens() -> None:
    async with open_world() as world:
        with pytest.raises(Forbidden):
            await world.kit.as_user("ana").users.revoke_tokens(world.users["max"])


async def test_a_ticket_is_as_old_as_the_token_that_it_was_made_with() -> None:
    async with open_world() as world:
        made = await world.json("POST", f"{world.path}/tickets", None, status=201, headers=bearer("ana"))
        await world.kit.users.revoke_tokens(world.users["ana"], before=datetime.now(UTC) + timedelta(seconds=1))
        async with stream(world, None, f"ticket={made['ticket']}") as refused:
            await refused.ends()
            assert refused.status == 401


async def revoke(world: World) -> None:
    # Tokens of the test's world are made at the end of a half minute.
    await world.kit.users.revoke_tokens(world.users["ana"], before=datetime.now(UTC) + timedelta(seconds=31))


async def test_streams_end_when_their_token_is_revoked() -> None:
    async with open_world() as world, stream(world, "ana") as one, socket(world, "ana") as ana, stream(world, "max") as other:
        async with stream(world, "ana", path=f"/users/{world.users['ana']}/events") as feed:
            await revoke(world)
            for ended in (one, ana, feed):
                await ended.ends()
        assert one.end["code"] == feed.end["code"] == "system:error:invalid-token"
        assert ana.close_frame == (1008, "system:error:invalid-token")
        assert not other.done


async def test_a_hosts_own_login_is_not_looked_at_by_its_age() -> None:
    kit = ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: "ana", create_users=True))
    async with open_world(kit, populate=False) as world:
        assert (await world.call("POST", "/conversations", None, json={})).status_code < 300
        ana = await kit.users.named("ana")
        await kit.users.revoke_tokens(ana.id)
        assert (await world.call("GET", f"/users/{ana.id}", None)).status_code == 200


async def test_an_admin_token_is_not_concerned() -> None:
    async with open_world() as world:
        await world.kit.users.revoke_tokens(world.users["ana"])
        assert (await world.call("GET", f"/users/{world.users['ana']}")).status_code == 200


@pytest.mark.parametrize("seconds", [-60, -1, 0, 1, 3600])
def test_clocks_may_differ_by_a_minute(seconds: int) -> None:
    check_issued(NOW + timedelta(seconds=seconds), NOW, None)
    check_issued(None, NOW, NOW + timedelta(days=1))
    with pytest.raises(Unauthenticated, match="older"):
        check_issued(NOW - CREATION_LEEWAY - timedelta(milliseconds=1), NOW, None)
    with pytest.raises(Unauthenticated, match="revoked"):
        check_issued(NOW + timedelta(seconds=seconds), NOW, NOW + timedelta(seconds=seconds, milliseconds=1))


async def test_no_read_of_the_storage_is_added_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        looked_up: list[str] = []
        storage = type(world.kit.storage)
        get_user = storage.get_user

        async def counting(*arguments: Any, **options: Any) -> Any:
            looked_up.append(str(options))
            return await get_user(*arguments, **options)

        monkeypatch.setattr(storage, "get_user", counting)
        await world.json("GET", f"{world.path}/events", "ana")
        await world.say("hello")
        assert looked_up == []


async def test_who_acts_in_process_has_no_token() -> None:
    kit = make_kit()
    async with open_world(kit) as world:
        acting = kit.as_user("ana")
        await kit.users.revoke_tokens(world.users["ana"])
        assert len(await acting.events.list(world.conversation)) == 5
