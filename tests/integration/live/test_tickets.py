"""Stream tickets: good for one stream, once, for a minute."""

from __future__ import annotations

import string
from base64 import urlsafe_b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversation_kit import ConfigurationError, MemoryStorage, Principal, Unauthenticated
from conversation_kit.auth import make_token
from conversation_kit.domain.values.times import now
from conversation_kit.http.live.tickets import Tickets
from tests.integration.live.connections import socket, stream
from tests.support.world import APP, World, keys, make_kit, open_world

pytestmark = pytest.mark.anyio

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


async def ticket(world: World, who: str = "ana") -> str:
    answer = await world.json("POST", f"{world.path}/tickets", who, status=201)
    return str(urlsplit(answer["href"]).query)


def redeem(tickets: Tickets, ticket: str, storage: MemoryStorage) -> Principal:
    """Redeem a ticket; this storage waits for nothing, so that no event loop is needed."""
    with pytest.raises(StopIteration) as done:
        tickets.redeem(ticket, "/there", now(), storage.spend).send(None)
    principal: Principal = done.value.value
    return principal


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
    monkeypatch.setattr("conversation_kit.http.live.tickets.LIFETIME", -1)
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

        short = make_token(keys(APP)[0], APP, sub="ana", ttl=5)
        answer = await world.call("POST", f"{world.path}/tickets", None, headers={"Authorization": f"Bearer {short}"})
        with anyio.fail_after(30):
            async with stream(world, None, urlsplit(answer.json()["href"]).query) as connection:
                assert connection.status == 200
                await connection.ends()
                assert connection.end["code"] == "system:error:expired-token"


async def test_a_ticket_is_good_in_every_process_that_has_the_secret() -> None:
    storage = MemoryStorage()
    kits = [make_kit(storage, ticket_secret=secret) for secret in ("a secret of both of them", "a secret of both of them", None)]
    async with open_world(kits[0]) as world, open_world(kits[1], populate=False) as other, open_world(kits[2], populate=False) as stranger:
        for there in (other, stranger):
            there.conversation = world.conversation
        query = await ticket(world)
        async with stream(stranger, None, query) as connection:
            await connection.ends()
            assert (connection.status, connection.problem["code"]) == (401, "stream:error:invalid-ticket")
        async with stream(other, None, query) as connection:
            assert connection.status == 200


@pytest.mark.parametrize("secret", ["", "too short"])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="ticket_secret"):
        make_kit(ticket_secret=secret)


def spellings(ticket: str) -> list[str]:
    """Other texts that a lenient decoder of base64 takes for the same bytes."""
    last = ALPHABET.index(ticket[-1])
    spare = {2: 4, 3: 2}.get(len(ticket) % 4, 0)
    twins = [ticket[:-1] + ALPHABET[last | bits] for bits in range(1, 1 << spare)]
    padded = ticket + "=" * (-len(ticket) % 4)
    return [*twins, *{padded, padded + "=", padded + "===="} - {ticket}, ticket[:9] + "!" + ticket[9:], ticket[:9] + "\n!!!" + ticket[9:]]


@pytest.mark.parametrize("name", ["ana", "anab", "a" * 16, "a" * 32, "a" * 48])
def test_a_ticket_has_one_spelling(name: str) -> None:
    tickets, storage = Tickets(), MemoryStorage()
    good = tickets.issue(Principal(APP, name), "/there", may_post=True)
    assert good[-1] in ALPHABET
    for other in spellings(good):
        with pytest.raises(Unauthenticated):
            redeem(tickets, other, storage)
    assert redeem(tickets, good, storage) == Principal(APP, name)
    for again in (good, *spellings(good)):
        with pytest.raises(Unauthenticated):
            redeem(tickets, again, storage)


@settings(derandomize=True)
@given(st.text() | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode()), st.integers(0, 300), st.characters())
def test_nothing_but_a_ticket_is_one(garbage: str, place: int, character: str) -> None:
    tickets, storage = Tickets(), MemoryStorage()
    good = tickets.issue(Principal(APP, "ana"), "/there", may_post=True)
    changed = good[:place] + character + good[place + 1 :]
    for bad in {garbage, changed} - {good}:
        with pytest.raises(Unauthenticated):
            redeem(tickets, bad, storage)
    assert redeem(tickets, good, storage) == Principal(APP, "ana")


def test_a_principal_comes_back_as_it_was() -> None:
    ends = now() + timedelta(hours=1)
    for principal in (
        Principal(APP),
        Principal(APP, "aná 🙂", expires_at=ends),
        Principal(APP, "max", False, None, None, True, "Max", "https://x"),
    ):
        tickets = Tickets()
        assert redeem(tickets, tickets.issue(principal, "/there", may_post=True), MemoryStorage()) == principal


async def test_a_ticket_is_used_up_for_all_processes_that_share_a_storage(tmp_path: Path) -> None:
    url, secret = f"sqlite:///{tmp_path / 'chat.db'}", "a secret of both of them"
    kits = [make_kit(url, ticket_secret=secret) for _ in range(2)]
    async with open_world(kits[0]) as world, open_world(kits[1], populate=False) as other:
        other.conversation = world.conversation
        for here, there in ((world, other), (other, world)):
            query = await ticket(here)
            async with stream(here, None, query) as connection:
                assert connection.status == 200
            for kind in (stream, socket):
                async with kind(there, None, query) as again:
                    await again.ends()
                    assert (again.status, again.problem["code"]) == (401, "stream:error:invalid-ticket")


ALL = {"methods": ["POST", "GET"]}
READ = {"/*/conversations/*/tickets": {}, "/*/conversations/*/events": {"methods": ["GET"]}}


@pytest.mark.parametrize(
    ("paths", "may_read", "may_post"),
    [
        ({"/**": ALL}, True, True),
        (READ, True, False),
        ({"/**": ALL, "/x": {"filters": {"type": "text"}}}, True, False),
        ({"/*/conversations/*/tickets": {}}, False, False),
    ],
)
async def test_a_ticket_carries_what_the_access_list_says_of_its_stream(paths: dict[str, Any], may_read: bool, may_post: bool) -> None:
    async with open_world() as world:
        token = make_token(keys(APP)[0], APP, sub="ana", acl={"paths": paths})
        answer = await world.call("POST", f"{world.path}/tickets", None, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == (201 if may_read else 403)
        if not may_read:
            return
        async with socket(world, None, urlsplit(answer.json()["href"]).query) as connection:
            await connection.say({"tid": 1, "type": "text", "body": {"text": "hello"}})
            await connection.until(lambda: [frame for frame in connection.frames if frame.get("rid") == 1])
            (told,) = [frame for frame in connection.frames if frame.get("rid") == 1]
            assert ("id" in told) is may_post
            assert may_post or told["code"] == "system:error:permission"
