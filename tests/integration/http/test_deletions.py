"""Whatever somebody wrote into a log can be taken out of it again."""

from __future__ import annotations

from typing import Any

import pytest

from conversation_kit.domain.event_types import EPHEMERAL, RECEIPT_KINDS, STORED
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

WRITTEN = sorted(type for type in STORED if type not in RECEIPT_KINDS) + ["custom:wechat:message", "shop:order"]
RECEIPTS = sorted(type for type in STORED if type in RECEIPT_KINDS)
SECRET = "my telephone number"
BODY = {"text": SECRET, "digits": "12", "event_id": 1, "extra": {"more": [SECRET]}}


async def post(world: World, type: str, **more: Any) -> str:
    created = await world.json("POST", f"{world.path}/events", "ana", status=201, json={"type": type, "body": BODY, **more})
    return str(created["id"])


async def log(world: World) -> str:
    return (await world.call("GET", f"{world.path}/events")).text


@pytest.mark.parametrize("who", ["admin", "ana", "host"])
@pytest.mark.parametrize("type", WRITTEN)
async def test_what_a_client_wrote_is_emptied_by_its_author_an_admin_and_the_host(type: str, who: str) -> None:
    async with open_world(event_types={"shop:order"}) as world:
        id = await post(world, type)
        assert SECRET in await log(world)
        if who == "host":
            assert (await world.kit.events.delete(world.conversation, int(id))).is_deleted
        else:
            await world.json("DELETE", f"{world.path}/events/{id}", who)
        assert SECRET not in await log(world)
        event = await world.json("GET", f"{world.path}/events/{id}")
        assert (event["type"], event["from"], set(event["body"])) == (type, world.members["ana"], {"timestamp"})
        assert (await world.types())[-1] == "event:delete"
        answer = await world.json("DELETE", f"{world.path}/events/{id}", "max", status=403)
        assert answer["code"] == "event:error:permission-denied"


@pytest.mark.parametrize("type", RECEIPTS)
async def test_a_receipt_keeps_nothing_but_the_id_of_its_event(type: str) -> None:
    async with open_world() as world:
        id = await post(world, type)
        assert (await world.json("GET", f"{world.path}/events/{id}"))["body"] == {"event_id": 1}
        assert SECRET not in await log(world)
        for who in ("ana", "admin"):
            answer = await world.json("DELETE", f"{world.path}/events/{id}", who, status=403)
            assert answer["code"] == "event:error:permission-denied"


async def test_every_type_that_clients_may_post_is_one_or_the_other() -> None:
    assert {*WRITTEN, *RECEIPTS} == STORED | {"custom:wechat:message", "shop:order"}
    assert STORED.isdisjoint(EPHEMERAL)


async def test_an_admin_takes_a_members_words_out_of_what_the_kit_recorded() -> None:
    async with open_world() as world:
        path = f"{world.path}/members/{world.members['max']}?reason_code=c&reason_text={SECRET}"
        await world.json("DELETE", path, "max")
        id = len(await world.types())
        answer = await world.json("DELETE", f"{world.path}/events/{id}", "ana", status=403)
        assert answer["code"] == "event:error:permission-denied"
        assert SECRET in await log(world)
        for _ in range(2):
            await world.json("DELETE", f"{world.path}/events/{id}")
            event = await world.json("GET", f"{world.path}/events/{id}")
            assert set(event["body"]) == {"member_id", "user", "timestamp"}
            assert (event["from"], event["body"]["member_id"]) == (world.members["max"], world.members["max"])
            assert event["body"]["user"] == {"id": world.users["max"], "user_id": world.users["max"]}
            assert set(event["body"]["timestamp"]) == {"joined", "left", "deleted"}
        assert SECRET not in await log(world)
        assert (await world.types()).count("event:delete") == 1
        assert (await world.kit.events.get(world.conversation, id)).is_deleted


async def test_a_stream_reads_on_from_records_that_were_emptied() -> None:
    async with open_world() as world:
        await world.kit.as_user("max").members.remove(world.conversation, world.members["max"])
        recorded = await world.types()
        for id in range(1, len(recorded) + 1):
            await world.kit.events.delete(world.conversation, id)
        async with world.kit.as_user("ana").subscribe(world.conversation, after=0) as events:
            heard = [await anext(events) for _ in recorded]
            assert [event.type for event in heard] == recorded
            assert all(event.is_deleted for event in heard)


async def test_a_deleted_message_can_still_be_marked_as_seen_and_a_receipt_repeated() -> None:
    async with open_world() as world:
        first, second = await world.say("one"), await world.say("two")
        receipt = {"type": "text:seen", "body": {"event_id": first}}
        created = await world.json("POST", f"{world.path}/events", "max", status=201, json=receipt)
        for id in (first, second):
            await world.json("DELETE", f"{world.path}/events/{id}", "ana")
        assert await world.json("POST", f"{world.path}/events", "max", status=201, json=receipt) == created
        await world.json("POST", f"{world.path}/events", "max", status=201, json={"type": "text:seen", "body": {"event_id": second}})
        for id in (first, second):
            tombstone = await world.json("GET", f"{world.path}/events/{id}")
            assert set(tombstone["body"]) == {"timestamp"}
            assert list(tombstone["state"]["seen_by"]) == [world.members["max"]]


async def test_a_deleted_message_is_unread_no_more() -> None:
    async with open_world() as world:
        ids = [await world.say(text) for text in ("one", "two", "three")]

        async def unread() -> int:
            (row,) = await world.json("GET", f"/users/{world.users['max']}/conversations", "max")
            return int(row["unread"])

        assert await unread() == 3
        await world.json("DELETE", f"{world.path}/events/{ids[1]}", "ana")
        assert await unread() == 2
        await world.json("DELETE", f"{world.path}/events/{ids[1]}", "ana")
        assert await unread() == 2
        await world.json("POST", f"{world.path}/events", "max", status=201, json={"type": "text:seen", "body": {"event_id": ids[0]}})
        assert await unread() == 1
        await world.json("DELETE", f"{world.path}/events/{ids[0]}", "ana")
        assert await unread() == 1
        await world.json("DELETE", f"{world.path}/events/{ids[2]}", "ana")
        assert await unread() == 0
        await world.say("four")
        assert await unread() == 1
