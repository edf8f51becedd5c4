from __future__ import annotations

from typing import Any

import pytest

from tests.support.snapshots import snapshot
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


async def test_a_joining_user_gets_a_member_with_its_times_and_initiator() -> None:
    async with open_world() as world:
        made = await world.json(
            "POST",
            f"{world.path}/members",
            "dee",
            status=201,
            json={"action": "join", "user_id": world.users["dee"], "channel": {"type": "app"}},
        )
        assert made["state"] == "joined"
        assert made["user_id"] == world.users["dee"]
        assert set(made["timestamp"]) == {"joined"}
        assert made["initiator"] == {"joined": {"user_id": world.users["dee"], "member_id": made["id"]}}
        assert made["href"] == f"http://host.test/beta{world.path}/members/{made['id']}"
        assert (await world.types())[-1] == "member:joined"


async def test_an_admin_brings_a_user_in_as_the_system() -> None:
    async with open_world() as world:
        made = await world.json(
            "POST",
            f"{world.path}/members",
            status=201,
            json={"action": "join", "user_id": world.users["dee"], "channel": {"type": "app"}},
        )
        assert made["initiator"] == {"joined": {"isSystem": True}}


async def test_a_missing_action_invites() -> None:
    async with open_world() as world:
        body = {"user_id": world.users["dee"], "channel": {"type": "app"}, "member_id_inviting": world.members["max"]}
        made = await world.json("POST", f"{world.path}/members", status=201, json=body)
        assert made["state"] == "invited"
        assert set(made["timestamp"]) == {"invited"}
        assert made["initiator"] == {"invited": {"user_id": world.users["max"], "member_id": world.members["max"]}}
        event = (await world.kit.events.list(world.conversation))[-1]
        assert event.type == "member:invited"
        assert event.sender == made["id"]
        assert event.body["cname"] == "room"
        assert event.body["invited_by"] == world.users["max"]
        assert event.body["user"]["name"] == "dee"


async def test_an_invited_member_joins_by_put_and_keeps_its_id() -> None:
    async with open_world() as world:
        member = world.members["bo"]
        joined = await world.json("PUT", f"{world.path}/members/{member}", "bo", json={"action": "join"})
        assert joined["id"] == member
        assert joined["href"].endswith(member)
        assert joined["state"] == "joined"
        assert set(joined["timestamp"]) == {"invited", "joined"}
        assert set(joined["initiator"]) == {"invited", "joined"}
        assert (await world.types())[-1] == "member:joined"


@pytest.mark.parametrize("body", [{"action": "join", "channel": {"type": "app"}}, {"action": "join", "user_name": "bo"}])
async def test_an_invitation_is_accepted_by_post_too(body: dict[str, Any]) -> None:
    async with open_world() as world:
        joined = await world.json("POST", f"{world.path}/members", "bo", status=201, json=body)
        assert joined["id"] == world.members["bo"]


async def test_an_invitation_is_accepted_by_its_member_id() -> None:
    async with open_world() as world:
        body = {"action": "join", "member_id": world.members["bo"], "channel": {"type": "app"}}
        joined = await world.json("POST", f"{world.path}/members", "bo", status=201, json=body)
        assert joined["id"] == world.members["bo"]


async def test_leaving_keeps_the_record_and_a_new_membership_gets_a_new_id() -> None:
    async with open_world() as world:
        assert await world.json("DELETE", f"{world.path}/members/{world.members['ana']}?reason_code=bye&reason_text=Bye", "ana") == {}
        event = (await world.kit.events.list(world.conversation))[-1]
        assert event.type == "member:left"
        assert event.body["reason"] == {"code": "bye", "text": "Bye"}
        assert set(event.body["timestamp"]) == {"joined", "left"}
        again = await world.json("POST", f"{world.path}/members", "ana", status=201, json={"action": "join", "channel": {"type": "app"}})
        assert again["id"] != world.members["ana"]
        listed = await world.json("GET", f"{world.path}/members")
        assert [row["state"] for row in listed if row["user_name"] == "ana"] == ["left", "joined"]


async def test_a_declined_invitation_has_no_time_of_joining() -> None:
    async with open_world() as world:
        await world.json("DELETE", f"{world.path}/members/{world.members['bo']}", "bo")
        event = (await world.kit.events.list(world.conversation))[-1]
        assert set(event.body["timestamp"]) == {"invited", "left"}


@pytest.mark.parametrize("body", [b"null", b"{}", b""])
async def test_a_delete_tolerates_the_bodies_that_clients_send(body: bytes) -> None:
    async with open_world() as world:
        assert await world.json("DELETE", f"{world.path}/members/{world.members['bo']}", content=body) == {}


REFUSED: list[tuple[str, str, str, dict[str, Any], int, str]] = [
    ("POST", "", "ana", {"action": "join", "user": "ana"}, 400, "conversation:error:member-already-joined"),
    ("POST", "", "ana", {"action": "invite", "user": "bo"}, 400, "conversation:error:already-member"),
    ("POST", "", "ana", {"action": "invite", "user": "max"}, 400, "conversation:error:already-member"),
    ("POST", "", "ana", {"action": "invite", "user_name": "nobody"}, 404, "user:error:not-found"),
    ("POST", "", "ana", {"action": "invite"}, 400, "http:error:validation-fail"),
    ("POST", "", "ana", {"action": "join", "user": "dee"}, 403, "system:error:permission"),
    ("POST", "", "ana", {"action": "leave", "user": "dee"}, 400, "http:error:validation-fail"),
    ("POST", "", "ana", {"user": "dee", "channel": {"type": "pigeon"}}, 400, "http:error:validation-fail"),
    ("POST", "", "ana", {"user": "dee", "channel": {}}, 400, "conversation:error:invalid-channel"),
    ("POST", "", "ana", {"user": "dee", "member_id_inviting": "MEM-0"}, 403, "event:error:permission-denied"),
    ("POST", "", "ana", {"user": "dee", "knocking_id": "nobody"}, 404, "knocking:error:not-found"),
    ("POST", "", "bo", {"action": "invite", "user": "dee"}, 403, "event:error:not-joined"),
    ("POST", "", "dee", {"action": "invite", "user": "dee"}, 404, "conversation:error:not-found"),
    ("POST", "", "cy", {"action": "join", "member": "cy"}, 400, "conversation:error:invalid-member-state"),
    ("PUT", "ana", "ana", {"action": "join"}, 400, "conversation:error:member-already-joined"),
    ("PUT", "cy", "cy", {"action": "join"}, 400, "conversation:error:invalid-member-state"),
    ("PUT", "bo", "bo", {"action": "invite"}, 400, "conversation:error:invalid-action"),
    ("PUT", "bo", "ana", {"action": "join"}, 403, "system:error:permission"),
    ("PUT", "bo", "dee", {"action": "join"}, 404, "conversation:error:not-found"),
    ("PUT", "none", "ana", {"action": "join"}, 404, "member:error:not-found"),
    ("DELETE", "cy", "admin", {}, 400, "conversation:error:invalid-member-state"),
    ("DELETE", "cy", "cy", {}, 400, "conversation:error:invalid-member-state"),
    ("DELETE", "max", "ana", {}, 403, "system:error:permission"),
    ("DELETE", "max", "dee", {}, 404, "conversation:error:not-found"),
    ("DELETE", "none", "ana", {}, 404, "member:error:not-found"),
]


@pytest.mark.parametrize(("method", "member", "who", "body", "status", "code"), REFUSED)
async def test_what_may_not_be_is_refused_and_changes_nothing(
    method: str, member: str, who: str, body: dict[str, Any], status: int, code: str
) -> None:
    async with open_world() as world:
        before = await snapshot(world)
        path = f"{world.path}/members" + (f"/{world.members.get(member, 'MEM-none')}" if member else "")
        sent = {name: value for name, value in body.items() if name not in ("user", "member")}
        if "user" in body:
            sent["user_id"] = world.users[body["user"]]
        if "member" in body:
            sent["member_id"] = world.members[body["member"]]
        answer = await world.json(method, path, who, status=status, json=sent)
        assert answer["code"] == code
        assert answer["description"]
        assert await snapshot(world) == before


async def test_a_member_removes_whom_it_invited() -> None:
    async with open_world() as world:
        path = f"{world.path}/members/{world.members['bo']}?from={world.members['ana']}"
        assert await world.json("DELETE", path, "ana") == {}
        event = (await world.kit.events.list(world.conversation))[-1]
        assert event.body["initiator"]["left"] == {"user_id": world.users["ana"], "member_id": world.members["ana"]}


async def test_one_user_is_a_member_over_several_types_of_channel() -> None:
    async with open_world() as world:
        body = {
            "action": "join",
            "user_id": world.users["ana"],
            "channel": {"type": "phone", "to": {"type": "phone", "number": "447700900585"}},
        }
        made = await world.json("POST", f"{world.path}/members", status=201, json=body)
        assert made["id"] != world.members["ana"]
        assert made["channel"]["to"] == {"type": "phone", "number": "447700900585"}
        assert made["channel"]["leg_ids"] == [{"leg_id": made["channel"]["leg_id"]}]


async def test_joining_with_audio_appends_member_media_and_starts_a_leg() -> None:
    async with open_world() as world:
        media = {"audio_settings": {"enabled": True, "earmuffed": False, "muted": False}}
        body = {"action": "join", "channel": {"type": "app"}, "media": media}
        made = await world.json("POST", f"{world.path}/members", "dee", status=201, json=body)
        assert (await world.types())[-3:] == ["member:joined", "member:media", "leg:status:update"]
        events = await world.kit.events.list(world.conversation)
        assert events[-2].body["audio"] is True
        legs = await world.json("GET", "/legs")
        assert legs["_embedded"]["legs"][0]["uuid"] == made["channel"]["leg_id"]
        assert (await world.json("GET", f"{world.path}/members/{made['id']}"))["media"] == media


async def test_a_member_over_the_cap_is_refused() -> None:
    async with open_world(max_members=4) as world:
        body = {"action": "join", "channel": {"type": "app"}}
        await world.json("POST", f"{world.path}/members", "dee", status=201, json=body)
        await world.kit.users.create("eve")
        answer = await world.json("POST", f"{world.path}/members", "eve", status=400, json=body)
        assert answer["code"] == "conversation:error:maximum-number-of-members"


async def test_the_list_of_members_is_paged_with_a_link_to_what_follows() -> None:
    async with open_world() as world:
        seen: list[str] = []
        path: str | None = f"{world.path}/members?page_size=3"
        while path:
            response = await world.call("GET", path, "ana")
            seen += [row["member_id"] for row in response.json()]
            link = response.headers.get("link")
            path = link.split(">")[0].removeprefix("<http://host.test/beta") if link else None
        assert seen == [world.members[name] for name in ("ana", "max", "cy", "bo")]


async def names(world: World, query: str) -> list[str]:
    return [row["name"] for row in await world.json("GET", f"{world.path}/members{query}")]


async def test_members_are_listed_by_their_states() -> None:
    async with open_world() as world:
        everybody = {row["name"]: row["state"] for row in await world.json("GET", f"{world.path}/members")}
        assert set(everybody.values()) == {"invited", "joined", "left"}
        for query, states in (
            ("?state=joined", {"joined"}),
            ("?state=left,invited", {"left", "invited"}),
            ("?state=left&state=joined&order=desc", {"left", "joined"}),
            ("?state=joined,joined", {"joined"}),
        ):
            found = await names(world, query)
            assert sorted(found) == sorted(name for name, state in everybody.items() if state in states), query
        answer = await world.call("GET", f"{world.path}/members?state=left&state=joined&page_size=1", "ana")
        assert "state=left&state=joined" in answer.links["next"]["url"], "the next page has the same filter"


@pytest.mark.parametrize("query", ["?state=", "?state=unknown", "?state=joined,", "?state=Joined"])
async def test_a_state_that_members_do_not_have_is_a_400_that_names_them(query: str) -> None:
    async with open_world() as world:
        answer = await world.json("GET", f"{world.path}/members{query}", status=400)
        assert "invited, joined, left" in answer["error"]["state"][0]
