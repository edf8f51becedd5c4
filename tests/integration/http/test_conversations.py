from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from conversation_kit.domain.values import times
from tests.support.world import OTHER, World, make_kit, open_world

pytestmark = pytest.mark.anyio


async def test_a_conversation_reads_back_as_it_was_created() -> None:
    async with open_world(populate=False) as world:
        sent = {
            "name": "customer chat",
            "display_name": "Customer Chat",
            "image_url": "https://example.com/image.png",
            "numbers": {"pstn": "14155550100", "sms": 442079460000},
            "properties": {"ttl": 60, "custom_data": {"a": [1]}},
            "originating_session": "x",
        }
        made = await world.json("POST", "/conversations", json=sent)
        assert set(made) == {"id", "href"}
        assert made["href"] == f"http://host.test/beta/conversations/{made['id']}"
        read = await world.json("GET", f"/conversations/{made['id']}")
        created = read.pop("timestamp")
        assert set(created) == {"created"}
        assert read == {
            "uuid": made["id"],
            "name": "customer chat",
            "display_name": "Customer Chat",
            "image_url": "https://example.com/image.png",
            "numbers": {"pstn": "14155550100", "sms": 442079460000},
            "properties": {"video": False, "ttl": 60, "custom_data": {"a": [1]}},
            "sequence_number": "0",
            "members": [],
            "api_key": "app-1",
            "_links": {"self": {"href": made["href"]}, "members": {"href": f"{made['href']}/members"}},
        }


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"name": ""}}])
async def test_a_name_is_generated_when_there_is_none(options: dict[str, Any]) -> None:
    async with open_world(populate=False) as world:
        made = [await world.json("POST", "/conversations", **options) for _ in range(2)]
        names = {(await world.json("GET", f"/conversations/{one['id']}"))["name"] for one in made}
        assert len(names) == 2
        assert all(name.startswith("NAM-") for name in names)


async def test_a_name_is_taken_once_in_each_application() -> None:
    async with open_world() as world:
        answer = await world.json("POST", "/conversations", status=400, json={"name": "room"})
        assert answer["code"] == "conversation:error:duplicate-name"
        await world.json("POST", "/conversations", "stranger admin", json={"name": "room"})


async def test_an_update_merges_and_tells_the_log() -> None:
    async with open_world() as world:
        changed = await world.json("PUT", world.path, json={"display_name": None, "properties": {"ttl": 5}})
        assert changed == {"id": world.conversation, "href": f"http://host.test/beta{world.path}"}
        read = await world.json("GET", world.path, "ana")
        assert "display_name" not in read
        assert read["name"] == "room"
        assert read["properties"] == {"video": False, "ttl": 5}
        assert "updated" in read["timestamp"]
        assert (await world.types())[-1] == "conversation:updated"


async def test_an_update_that_changes_nothing_appends_nothing() -> None:
    async with open_world() as world:
        before = await world.types()
        await world.json("PUT", world.path, json={"name": "room"})
        assert await world.types() == before


async def test_a_rename_to_a_taken_name_is_refused() -> None:
    async with open_world() as world:
        await world.json("POST", "/conversations", json={"name": "other"})
        answer = await world.json("PUT", world.path, status=400, json={"name": "other"})
        assert answer["code"] == "conversation:error:duplicate-name"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": ["x"]}, "display_name"),
        ({"image_url": "not a url"}, "image_url"),
        ({"image_url": "javascript:alert(1)"}, "image_url"),
        ({"image_url": "https://" + "x" * 2048}, "image_url"),
        ({"numbers": []}, "numbers"),
        ({"properties": "x"}, "properties"),
        ({"properties": {"ttl": -1}}, "properties"),
        ({"properties": {"ttl": ""}}, "properties"),
        ({"properties": {"ttl": 2**54}}, "properties"),
        ({"properties": {"ttl": True}}, "properties"),
    ],
)
async def test_a_wrong_value_is_refused_by_its_field(body: dict[str, Any], field: str) -> None:
    async with open_world(populate=False) as world:
        answer = await world.json("POST", "/conversations", status=400, json=body)
        assert answer["code"] == "http:error:validation-fail"
        assert any(name.startswith(field) for name in answer["error"])
        assert (await world.json("GET", "/conversations"))["count"] == 0


async def test_a_deleted_conversation_is_gone_with_its_name_and_its_legs_end() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone", member_id=world.members["ana"])
        assert await world.json("DELETE", world.path) == {}
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/members"), ("GET", "/events")):
            assert (await world.json(method, world.path + path, status=404))["code"] == "conversation:error:not-found"
        assert (await world.kit.legs.get(leg.id)).status == "completed"
        await world.json("POST", "/conversations", json={"name": "room"})


async def test_its_creator_reads_changes_and_deletes_a_conversation_without_joining() -> None:
    async with open_world() as world:
        made = await world.json("POST", "/conversations", "dee", json={"name": "mine"})
        path = f"/conversations/{made['id']}"
        assert (await world.json("GET", path, "dee"))["uuid"] == made["id"]
        assert (await world.json("GET", f"{path}/events", "dee", status=403))["code"] == "event:error:not-joined"
        await world.json("PUT", path, "dee", json={"name": "still mine"})
        await world.json("DELETE", path, "dee")


async def test_a_member_may_change_a_conversation_but_not_delete_it() -> None:
    async with open_world() as world:
        await world.json("PUT", world.path, "ana", json={"display_name": "New"})
        assert (await world.json("DELETE", world.path, "ana", status=403))["code"] == "system:error:permission"
        assert (await world.json("PUT", world.path, "bo", status=403, json={}))["code"] == "system:error:permission"
        assert (await world.json("DELETE", world.path, "dee", status=404))["code"] == "conversation:error:not-found"


async def test_the_list_is_for_admins_and_counts_all() -> None:
    async with open_world(populate=False) as world:
        ids = [(await world.json("POST", "/conversations"))["id"] for _ in range(12)]
        first = await world.json("GET", "/conversations")
        assert (first["count"], first["page_size"], first["record_index"]) == (12, 10, 0)
        assert [row["uuid"] for row in first["_embedded"]["conversations"]] == ids[:10]
        assert set(first["_links"]) == {"self", "first", "next"}
        second = await world.json("GET", first["_links"]["next"]["href"].removeprefix("http://host.test/beta"))
        assert [row["uuid"] for row in second["_embedded"]["conversations"]] == ids[10:]
        assert second["record_index"] == 10
        assert set(second["_links"]) == {"self", "first", "prev"}
        for row in first["_embedded"]["conversations"]:
            assert row["href"] == row["_links"]["self"]["href"] == f"http://host.test/beta/conversations/{row['uuid']}"


@pytest.mark.parametrize("order", ["asc", "desc", "ASC", "DESC"])
async def test_record_index_is_a_row_offset_in_both_orders(order: str) -> None:
    async with open_world(populate=False) as world:
        ids = [(await world.json("POST", "/conversations"))["id"] for _ in range(7)]
        if order.lower() == "desc":
            ids.reverse()
        page = await world.json("GET", f"/conversations?page_size=3&record_index=5&order={order}")
        assert page["count"] == 7
        assert [row["uuid"] for row in page["_embedded"]["conversations"]] == ids[5:]


class Clock:
    """Time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = times.now().replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


def clocked_world() -> tuple[Clock, Any]:
    clock = Clock()
    return clock, open_world(make_kit(clock=clock), populate=False)


async def test_dates_bound_the_list_from_the_start_to_before_the_end() -> None:
    clock, opened = clocked_world()
    async with opened as world:
        start = clock.now
        ids = []
        for _ in range(4):
            ids.append((await world.json("POST", "/conversations"))["id"])
            clock.now += timedelta(hours=1)

        async def listed(query: str) -> list[str]:
            rows = (await world.json("GET", f"/conversations?{query}"))["_embedded"]["conversations"]
            return [row["uuid"] for row in rows]

        one, three = start + timedelta(hours=1), start + timedelta(hours=3)
        for text in (times.to_text, lambda at: at.strftime("%Y-%m-%d %H:%M:%S"), lambda at: at.isoformat()):
            assert await listed(f"date_start={text(one)}&date_end={text(three)}") == ids[1:3]
        assert await listed(f"date_start={times.to_text(three)}&date_end={times.to_text(one)}") == []
        assert await listed(f"date_start={times.to_text(three)}") == ids[3:]


async def expire(world: World, clock: Clock) -> str:
    made: str = (await world.json("POST", "/conversations", json={"name": "short", "properties": {"ttl": 60}}))["id"]
    clock.now += timedelta(seconds=59)
    await world.json("GET", f"/conversations/{made}")
    clock.now += timedelta(seconds=1)
    return made


async def test_an_empty_conversation_is_gone_once_its_ttl_has_run_out() -> None:
    clock, opened = clocked_world()
    async with opened as world:
        id = await expire(world, clock)
        assert (await world.json("GET", f"/conversations/{id}", status=404))["code"] == "conversation:error:not-found"
        assert (await world.json("GET", "/conversations"))["count"] == 0
        await world.json("POST", "/conversations", json={"name": "short"})


async def test_the_ttl_runs_only_while_nobody_is_joined() -> None:
    clock, opened = clocked_world()
    async with opened as world:
        made = await world.json("POST", "/conversations", json={"properties": {"ttl": 60}})
        path = f"/conversations/{made['id']}"
        user = await world.kit.users.create("ana")
        member = await world.kit.members.join(made["id"], user_id=user.id)
        clock.now += timedelta(days=1)
        await world.json("GET", path)
        await world.kit.members.remove(made["id"], member.id)
        clock.now += timedelta(seconds=59)
        await world.json("GET", path)
        clock.now += timedelta(seconds=1)
        await world.json("GET", path, status=404)


async def test_applications_are_strangers_to_each_other() -> None:
    async with open_world() as world:
        assert (await world.json("GET", world.path, "stranger admin", status=404))["code"] == "conversation:error:not-found"
        assert (await world.json("GET", "/conversations", "stranger admin"))["count"] == 0
        assert (await world.kit.application(OTHER).conversations.list()).total == 0


async def test_an_expired_conversation_does_not_keep_its_name_from_a_rename() -> None:
    clock, opened = clocked_world()
    async with opened as world:
        other = await world.json("POST", "/conversations", json={"name": "other"})
        await expire(world, clock)
        await world.json("PUT", f"/conversations/{other['id']}", json={"name": "short"})


async def test_an_update_tells_1_from_true() -> None:
    async with open_world() as world:
        for value in (1, True, 1.0):
            await world.json("PUT", world.path, json={"properties": {"a": value}})
            assert json.dumps((await world.json("GET", world.path))["properties"]["a"]) == json.dumps(value)


async def test_an_update_keeps_the_keys_that_it_does_not_name() -> None:
    async with open_world() as world:
        await world.json(
            "PUT", world.path, json={"properties": {"ttl": 60, "custom": {"a": 1, "b": 2}}, "numbers": {"sms": "1", "fax": "2"}}
        )
        await world.json("PUT", world.path, "ana", json={"properties": {"note": "x", "custom": {"b": None}}, "numbers": {"sms": None}})
        conversation = await world.kit.conversations.get(world.conversation)
        assert conversation.properties == {"ttl": 60, "custom": {"a": 1}, "note": "x"}
        assert conversation.numbers == {"fax": "2"}
        await world.json("PUT", world.path, json={"properties": {"ttl": None}})
        assert "ttl" not in (await world.kit.conversations.get(world.conversation)).properties
        await world.json("PUT", world.path, json={"properties": None})
        assert (await world.kit.conversations.get(world.conversation)).properties == {}


async def test_what_updates_put_together_is_no_larger_than_what_one_may_put() -> None:
    async with open_world() as world:
        for name in ("a", "b"):
            status = 200 if name == "a" else 400
            answer = await world.json("PUT", world.path, status=status, json={"properties": {name: "x" * 40_000}})
        assert list(answer["error"]) == ["properties"]
