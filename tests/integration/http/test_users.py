from __future__ import annotations

from typing import Any

import anyio
import pytest

from conversation_kit import Conflict, Context, MemberLeft, RemoveMember
from tests.support.world import open_world

pytestmark = pytest.mark.anyio


async def test_a_user_reads_back_as_it_was_created() -> None:
    async with open_world(populate=False) as world:
        sent = {
            "name": "ana",
            "display_name": "Ana",
            "image_url": "https://example.com/ana.png",
            "channels": {"type": "phone", "to": {"type": "phone", "number": "44"}},
            "properties": {"custom_data": {"age": 3}},
        }
        made = await world.json("POST", "/users", json=sent)
        assert made == {"id": made["id"], "name": "ana", "display_name": "Ana", "href": f"http://host.test/beta/users/{made['id']}"}
        assert await world.json("GET", f"/users/{made['id']}", "ana") == {**sent, "id": made["id"], "href": made["href"]}
        assert await world.json("GET", "/users") == [{"id": made["id"], "name": "ana", "href": made["href"]}]


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"name": ""}}])
async def test_a_users_name_is_generated_when_there_is_none(options: dict[str, Any]) -> None:
    async with open_world(populate=False) as world:
        assert (await world.json("POST", "/users", **options))["name"].startswith("NAM-")


async def test_a_users_name_is_taken_once_in_each_application() -> None:
    async with open_world() as world:
        assert (await world.json("POST", "/users", status=400, json={"name": "ana"}))["code"] == "user:error:duplicate-name"
        assert (await world.json("PUT", f"/users/{world.users['bo']}", status=400, json={"name": "ana"}))[
            "code"
        ] == "user:error:duplicate-name"
        await world.json("POST", "/users", "stranger admin", json={"name": "ana"})


async def test_an_update_of_a_user_merges() -> None:
    async with open_world() as world:
        path = f"/users/{world.users['ana']}"
        answer = await world.json("PUT", path, "ana", json={"image_url": "https://example.com/a.png"})
        assert answer == {"id": world.users["ana"], "href": f"http://host.test/beta{path}"}
        assert (await world.json("GET", path, "ana"))["display_name"] == "Ana"
        await world.json("PUT", path, "ana", json={"display_name": None, "image_url": None})
        read = await world.json("GET", path, "ana")
        assert "display_name" not in read
        assert "image_url" not in read


async def test_only_an_admin_renames_a_user_and_its_memberships_follow() -> None:
    async with open_world() as world:
        path = f"/users/{world.users['ana']}"
        assert (await world.json("PUT", path, "ana", status=403, json={"name": "queen"}))["code"] == "system:error:permission"
        await world.json("PUT", path, json={"name": "queen"})
        rows = await world.json("GET", f"{world.path}/members", "queen")
        assert {row["user_name"] for row in rows} == {"queen", "max", "bo", "cy"}
        assert (await world.json("GET", path, "ana", status=401))["code"] == "system:error:invalid-token"


async def test_a_deleted_user_has_left_everywhere_and_frees_its_name() -> None:
    async with open_world() as world:
        assert await world.json("DELETE", f"/users/{world.users['bo']}") == {}
        assert await world.json("DELETE", f"/users/{world.users['ana']}") == {}
        assert (await world.types())[-2:] == ["member:left", "member:left"]
        assert (await world.json("GET", f"/users/{world.users['ana']}", status=404))["code"] == "user:error:not-found"
        assert (await world.json("GET", world.path, "ana", status=401))["code"] == "system:error:invalid-token"
        again = await world.json("POST", "/users", json={"name": "ana"})
        assert again["id"] != world.users["ana"]
        await world.json("GET", world.path, "ana", status=404)


async def test_a_users_conversations_are_those_it_is_invited_to_or_joined_in() -> None:
    async with open_world() as world:
        second = await world.kit.conversations.create("second")
        invited = await world.kit.members.invite(second.id, user_name="ana")
        rows = await world.json("GET", f"/users/{world.users['ana']}/conversations", "ana")
        assert [(row["id"], row["state"], row["member_id"]) for row in rows] == [
            (world.conversation, "joined", world.members["ana"]),
            (second.id, "invited", invited.id),
        ]
        assert rows[1] == {
            "id": second.id,
            "name": "second",
            "state": "invited",
            "member_id": invited.id,
            "sequence_number": 1,
            "seen": 1,
            "unread": 0,
            "timestamp": rows[1]["timestamp"],
            "href": f"http://host.test/beta/conversations/{second.id}",
        }
        assert await world.json("GET", f"/users/{world.users['cy']}/conversations", "cy") == []
        newest = await world.json("GET", f"/users/{world.users['ana']}/conversations?order=desc&page_size=1", "ana")
        assert [row["id"] for row in newest] == [second.id]


async def test_a_users_conversations_tell_how_far_it_has_read_and_how_much_is_unread() -> None:
    async with open_world() as world:

        async def read_by(name: str) -> tuple[int, int]:
            (row,) = await world.json("GET", f"/users/{world.users[name]}/conversations", name)
            return row["seen"], row["unread"]

        first, _, third = [int(await world.say(who="max")) for _ in range(3)]
        begun = (await read_by("ana"))[0]
        assert [event.type for event in await world.kit.events.list(world.conversation) if event.id == begun] == ["member:joined"]
        assert await read_by("ana") == (begun, 3)
        assert await read_by("max") == (third, 0)
        body = {"type": "text:seen", "body": {"event_id": first}}
        await world.json("POST", f"{world.path}/events", "ana", status=201, json=body)
        assert await read_by("ana") == (first, 2)
        own = int(await world.say(who="ana"))
        assert await read_by("ana") == (own, 0)
        assert await read_by("max") == (third, 1)
        assert (await read_by("bo"))[1] == 4


@pytest.mark.parametrize(
    "body", [{"name": 5}, {"name": None}, {"display_name": ""}, {"image_url": "x"}, {"channels": []}, {"name": "x" * 256}]
)
async def test_a_wrong_value_of_a_user_is_refused_by_its_field(body: dict[str, Any]) -> None:
    async with open_world(populate=False) as world:
        answer = await world.json("POST", "/users", status=400, json=body)
        assert all(name.startswith(next(iter(body))) for name in answer["error"])
        assert await world.json("GET", "/users") == []


async def test_a_user_that_a_hook_keeps_from_leaving_is_not_deleted() -> None:
    async with open_world() as world:

        @world.kit.before(RemoveMember)
        def never(command: RemoveMember, context: Context) -> None:
            raise Conflict("Nobody leaves.", "shop:error:closed")

        with anyio.fail_after(30):
            answer = await world.json("DELETE", f"/users/{world.users['ana']}", status=400)
        assert answer["code"] == "shop:error:closed"
        await world.json("GET", f"/users/{world.users['ana']}")


async def test_a_user_is_found_by_name() -> None:
    async with open_world() as world:
        (row,) = await world.json("GET", "/users?name=ana")
        assert row["id"] == world.users["ana"]
        assert await world.json("GET", "/users?name=nobody") == []
        assert [one["name"] for one in await world.json("GET", "/users?name=ana", "ana")] == ["ana"]
        for name in ("max", "nobody"):
            await world.json("GET", f"/users?name={name}", "ana", status=403)


async def test_a_client_finds_its_own_user_as_me() -> None:
    async with open_world() as world:
        assert (await world.json("GET", "/users/me", "ana"))["id"] == world.users["ana"]
        await world.json("PUT", "/users/me", "ana", json={"display_name": "Ana B."})
        assert (await world.kit.users.get(world.users["ana"])).display_name == "Ana B."
        (row,) = await world.json("GET", "/users/me/conversations", "ana")
        assert row["id"] == world.conversation
        ticket = await world.json("POST", "/users/me/tickets", "ana", status=201)
        assert f"/users/{world.users['ana']}/events?ticket=" in ticket["href"]
        await world.json("GET", "/users/me", status=404)


async def test_a_users_properties_are_kept_and_merged() -> None:
    async with open_world() as world:
        made = await world.json("POST", "/users", json={"name": "eve", "properties": {"custom_data": {"age": 3}}, "channels": {"sms": [1]}})
        assert (await world.json("GET", made["href"].removeprefix("http://host.test/beta")))["properties"] == {"custom_data": {"age": 3}}
        path = f"/users/{made['id']}"
        await world.json("PUT", path, json={"properties": {"custom_data": {"town": "x"}, "vip": True}, "channels": {"pstn": [2]}})
        user = await world.json("GET", path)
        assert user["properties"] == {"custom_data": {"age": 3, "town": "x"}, "vip": True}
        assert user["channels"] == {"sms": [1], "pstn": [2]}
        await world.json("PUT", path, json={"properties": {"custom_data": None}, "channels": None})
        user = await world.json("GET", path)
        assert (user["properties"], user["channels"]) == ({"vip": True}, {})


async def test_members_are_shown_with_the_name_and_picture_that_their_user_has_now() -> None:
    heard: list[Any] = []
    async with open_world() as world:
        world.kit.on(MemberLeft)(heard.append)
        for picture in ("https://pictures.example/1", None):
            change = {"display_name": f"Max {picture}", "image_url": picture}
            await world.json("PUT", f"/users/{world.users['max']}", "max", json=change)
            expected = {name: value for name, value in change.items() if value is not None}
            (listed,) = [row for row in await world.json("GET", f"{world.path}/members", "ana") if row["name"] == "max"]
            (embedded,) = [row for row in (await world.json("GET", world.path, "ana"))["members"] if row["name"] == "max"]
            one = await world.json("GET", f"{world.path}/members/{world.members['max']}", "ana")
            for row in (listed, embedded, one):
                assert {name: row[name] for name in change if name in row} == expected
        await world.json("DELETE", f"{world.path}/members/{world.members['max']}", "max")
        assert [signal.member.display_name for signal in heard] == ["Max None"]
        again = await world.kit.members.join(world.conversation, user_name="max")
        assert again.display_name == "Max None"
        assert (await world.kit.members.invite(world.conversation, user_name="dee")).display_name == "Dee"
