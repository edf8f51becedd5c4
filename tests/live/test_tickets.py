"""Stream tickets: good for one stream, once, for a minute."""

from __future__ import annotations

from urllib.parse import urlsplit

import anyio
import pytest

from conversation_kit.http.tickets import PER_USER
from conversation_kit.tokens import make_token
from tests.live.connections import socket, stream
from tests.world import APP, World, keys, open_world

pytestmark = pytest.mark.anyio


async def ticket(world: World, who: str = "ana") -> str:
    answer = await world.json("POST", f"{world.path}/tickets", who, status=201)
    return str(urlsplit(answer["href"]).query)


async def test_a_ticket_opens_its_stream_once() -> None:
    async with open_world() as world:
        for kind in (stream, socket):
            query = await ticket(world)
            async with kind(world, None, query + "&after=4") as connection:
                assert connection.sent[0]["type"] in ("http.response.start", "websocket.accept")
                assert connection.sent[0].get("status", 200) == 200
                async with kind(world, None, query) as again:
                    await again.ends()
                    assert (again.status, again.problem["code"]) == (401, "stream:error:invalid-ticket")


async def test_the_answer_says_where_and_until_when() -> None:
    async with open_world() as world:
        response = await world.call("POST", f"{world.path}/tickets", "ana")
        answer = response.json()
        assert response.headers["cache-control"] == "no-store"
        assert answer["href"] == f"http://host.test/beta{world.path}/events?ticket={answer['ticket']}"
        assert len(answer["ticket"]) >= 40


async def test_a_ticket_is_good_for_its_own_stream_only_and_for_nothing_else() -> None:
    async with open_world() as world:
        other = await world.kit.conversations.create("other")
        await world.kit.members.join(other.id, user_name="ana")
        async with stream(world, None, await ticket(world), path=f"/conversations/{other.id}/events") as connection:
            await connection.ends()
            assert connection.status == 401
        for method, path in (("GET", "/events"), ("POST", "/events"), ("GET", "")):
            query = await ticket(world)
            answer = await world.call(method, f"{world.path}{path}?{query}", None)
            assert answer.status_code == 401


@pytest.mark.parametrize(("who", "status"), [("bo", 403), ("dee", 404), (None, 401)])
async def test_who_may_not_read_gets_no_ticket(who: str | None, status: int) -> None:
    async with open_world() as world:
        assert (await world.call("POST", f"{world.path}/tickets", who)).status_code == status


async def test_a_ticket_gets_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.http.tickets.LIFETIME", 0.0)
    async with open_world() as world, stream(world, None, await ticket(world)) as connection:
        await connection.ends()
        assert connection.status == 401


async def test_a_ticket_gives_no_more_than_its_owner_has() -> None:
    async with open_world() as world:
        query = await ticket(world, "max")
        await world.kit.members.remove(world.conversation, world.members["max"])
        async with stream(world, None, query) as connection:
            await connection.ends()
            assert connection.status == 404

        short = make_token(keys(APP)[0], APP, sub="ana", ttl=2)
        answer = await world.call("POST", f"{world.path}/tickets", None, headers={"Authorization": f"Bearer {short}"})
        with anyio.fail_after(4):
            async with stream(world, None, urlsplit(answer.json()["href"]).query) as connection:
                assert connection.status == 200
                await connection.ends()
                assert connection.end["code"] == "system:error:expired-token"


async def test_a_user_keeps_so_many_tickets_and_no_more() -> None:
    async with open_world() as world:
        for _ in range(PER_USER):
            query = await ticket(world)
        answer = await world.call("POST", f"{world.path}/tickets", "ana")
        assert (answer.status_code, answer.json()["code"]) == (429, "stream:error:too-many")
        assert await ticket(world, "max")
        async with stream(world, None, query):
            assert await ticket(world)
