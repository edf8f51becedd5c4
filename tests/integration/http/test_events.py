from __future__ import annotations

from typing import Any

import pytest

from tests.support.snapshots import snapshot
from tests.support.world import open_world

pytestmark = pytest.mark.anyio


async def test_an_event_lands_at_the_next_id_and_reads_back_as_it_was_sent() -> None:
    async with open_world() as world:
        before = (await world.json("GET", world.path, "ana"))["sequence_number"]
        body = {"text": "Grüße 🎈 \u2028", "n": 2**53, "f": 0.1, "deep": [{"a": [1, None, True]}], "": ""}
        sent = {
            "type": "text",
            "from": world.members["ana"],
            "to": world.members["max"],
            "body": body,
            "cid": "x",
            "originating_session": "s",
        }
        made = await world.json("POST", f"{world.path}/events", "ana", status=201, json=sent)
        assert made["id"] == str(int(before) + 1)
        assert made["href"] == f"http://host.test/beta{world.path}/events/{made['id']}"
        assert made["timestamp"].endswith("Z")
        read = await world.json("GET", f"{world.path}/events/{made['id']}", "max")
        assert read == {
            "id": made["id"],
            "type": "text",
            "from": world.members["ana"],
            "to": world.members["max"],
            "body": body,
            "timestamp": made["timestamp"],
            "href": made["href"],
        }
        assert (await world.json("GET", world.path, "ana"))["sequence_number"] == made["id"]


async def test_who_is_joined_once_need_not_say_from() -> None:
    async with open_world() as world:
        id = await world.say()
        assert (await world.json("GET", f"{world.path}/events/{id}"))["from"] == world.members["ana"]


async def test_who_is_joined_twice_must_say_from() -> None:
    async with open_world() as world:
        await world.kit.members.join(world.conversation, user_name="ana", channel={"type": "phone"})
        answer = await world.json("POST", f"{world.path}/events", "ana", status=400, json={"type": "text", "body": {"text": "x"}})
        assert "from" in answer["error"]


async def test_an_admin_needs_no_from() -> None:
    async with open_world() as world:
        made = await world.json("POST", f"{world.path}/events", status=201, json={"type": "custom:notice", "body": {"a": 1}})
        assert "from" not in await world.json("GET", f"{world.path}/events/{made['id']}")


async def test_receipts_show_in_the_state_of_their_target_once_for_each_member() -> None:
    async with open_world() as world:
        id = await world.say()
        first = await world.json(
            "POST", f"{world.path}/events", "max", status=201, json={"type": "text:delivered", "body": {"event_id": id}}
        )
        seen = await world.json(
            "POST", f"{world.path}/events", "max", status=201, json={"type": "text:seen", "body": {"event_id": int(id)}}
        )
        again = await world.json(
            "POST", f"{world.path}/events", "max", status=201, json={"type": "text:seen", "body": {"event_id": int(id)}}
        )
        assert again == seen
        state = (await world.json("GET", f"{world.path}/events/{id}"))["state"]
        assert state == {"delivered_to": {world.members["max"]: first["timestamp"]}, "seen_by": {world.members["max"]: seen["timestamp"]}}
        listed = await world.json("GET", f"{world.path}/events?start_id={id}")
        assert [row["type"] for row in listed] == ["text", "text:delivered", "text:seen"]
        assert listed[0]["state"] == state
        assert "state" not in listed[1]


async def test_typing_is_answered_without_an_id_and_not_kept() -> None:
    async with open_world() as world:
        before = await snapshot(world)
        for type in ("text:typing:on", "text:typing:off", "ephemeral"):
            made = await world.json("POST", f"{world.path}/events", "ana", status=201, json={"type": type, "body": {"activity": 1}})
            assert set(made) == {"timestamp"}
        assert await snapshot(world) == before


async def test_a_deleted_event_stays_as_a_tombstone_and_is_deleted_once() -> None:
    async with open_world() as world:
        id = await world.say()
        assert await world.json("DELETE", f"{world.path}/events/{id}?from={world.members['ana']}", "ana") == {}
        events = await world.json("GET", f"{world.path}/events?start_id={id}")
        assert [row["type"] for row in events] == ["text", "event:delete"]
        assert set(events[0]["body"]) == {"timestamp"}
        assert set(events[0]["body"]["timestamp"]) == {"deleted"}
        assert events[1]["body"] == {"event_id": int(id)}
        assert events[1]["from"] == world.members["ana"]
        assert await world.json("DELETE", f"{world.path}/events/{id}", "ana", json={"from": world.members["ana"]}) == {}
        assert len(await world.json("GET", f"{world.path}/events?start_id={id}")) == 2


async def test_muting_shows_in_the_media_of_the_member_it_is_meant_for() -> None:
    async with open_world() as world:
        body = {"type": "audio:mute:on", "to": world.members["max"], "body": {"rtc_id": "x"}}
        await world.json("POST", f"{world.path}/events", "ana", status=201, json=body)
        assert (await world.types())[-2:] == ["audio:mute:on", "member:media"]
        member = await world.json("GET", f"{world.path}/members/{world.members['max']}")
        assert member["media"] == {"audio_settings": {"muted": True}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", range(1, 13)),
        ("order=desc", range(12, 0, -1)),
        ("page_size=3", range(1, 4)),
        ("page_size=3&record_index=3&order=DESC", range(9, 6, -1)),
        ("start_id=10", range(10, 13)),
        ("end_id=2", range(1, 3)),
        ("start_id=4&end_id=6&order=desc", range(6, 3, -1)),
        ("start_id=9&end_id=3", []),
        ("record_index=100", []),
        ("start_id=9007199254740992", []),
        ("end_id=0", []),
    ],
)
async def test_the_log_is_read_by_range_and_page(query: str, expected: Any) -> None:
    async with open_world() as world:
        while len(await world.types()) < 12:
            await world.say()
        listed = await world.json("GET", f"{world.path}/events?{query}", "max")
        assert [int(row["id"]) for row in listed] == list(expected)


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("ana", {"type": "text", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "text", "body": {"text": 5}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "text"}, 400, "conversation:error:invalid-event"),
    ("ana", {"body": {}}, 400, "http:error:validation-fail"),
    ("ana", {"type": "member:joined", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "poll", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "custom:", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "custom:é", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "custom:a b", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "custom:x", "body": {"a": "x" * 4096}}, 400, "http:error:validation-fail"),
    ("ana", {"type": "text", "body": {"text": "x" * 65536}}, 400, "http:error:validation-fail"),
    ("ana", {"type": "audio:dtmf", "body": {"digit": "z"}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "text:seen", "body": {}}, 400, "conversation:error:invalid-event"),
    ("ana", {"type": "text:seen", "body": {"event_id": 999}}, 404, "event:error:not-found"),
    ("ana", {"type": "text:seen", "body": {"event_id": True}}, 400, "conversation:error:invalid-event"),
    ("admin", {"type": "text:seen", "body": {"event_id": 1}}, 400, "http:error:validation-fail"),
    ("ana", {"type": "text", "body": {"text": "x"}, "to": "MEM-none"}, 404, "member:error:not-found"),
    ("ana", {"type": "text", "body": {"text": "x"}, "member to": "cy"}, 400, "conversation:error:invalid-member-state"),
    ("ana", {"type": "text", "body": {"text": "x"}, "member from": "max"}, 403, "event:error:permission-denied"),
    ("admin", {"type": "text", "body": {"text": "x"}, "member from": "bo"}, 403, "event:error:not-joined"),
    ("admin", {"type": "text", "body": {"text": "x"}, "member from": "cy"}, 400, "conversation:error:invalid-member-state"),
    ("admin", {"type": "text", "body": {"text": "x"}, "from": "MEM-none"}, 404, "member:error:not-found"),
    ("bo", {"type": "text", "body": {"text": "x"}}, 403, "event:error:not-joined"),
    ("cy", {"type": "text", "body": {"text": "x"}}, 404, "conversation:error:not-found"),
    ("dee", {"type": "text", "body": {"text": "x"}}, 404, "conversation:error:not-found"),
]


@pytest.mark.parametrize(("who", "body", "status", "code"), REFUSED)
async def test_what_may_not_be_said_is_refused_and_changes_nothing(who: str, body: dict[str, Any], status: int, code: str) -> None:
    async with open_world() as world:
        before = await snapshot(world)
        sent = {name.removeprefix("member "): world.members[value] if name.startswith("member ") else value for name, value in body.items()}
        answer = await world.json("POST", f"{world.path}/events", who, status=status, json=sent)
        assert answer["code"] == code
        assert await snapshot(world) == before


async def test_only_the_author_and_admins_delete_and_users_not_what_the_kit_recorded() -> None:
    async with open_world() as world:
        id = await world.say()
        answer = await world.json("DELETE", f"{world.path}/events/{id}", "max", status=403)
        assert answer["code"] == "event:error:permission-denied"
        answer = await world.json("DELETE", f"{world.path}/events/1", "ana", status=403)
        assert answer["code"] == "event:error:permission-denied"
        for wrong in ("999", "0", "x", "99999999999999999999999", "1.5"):
            answer = await world.json("DELETE", f"{world.path}/events/{wrong}", "ana", status=404)
            assert answer["code"] == "event:error:not-found"
        await world.json("DELETE", f"{world.path}/events/{id}")
        assert (await world.types())[-1] == "event:delete"


async def test_an_author_who_left_and_came_back_deletes_what_they_said_before() -> None:
    async with open_world() as world:
        id = await world.say()
        await world.kit.as_user("ana").members.remove(world.conversation, world.members["ana"])
        await world.kit.as_user("ana").members.join(world.conversation)
        assert await world.json("DELETE", f"{world.path}/events/{id}", "ana") == {}


@pytest.mark.parametrize("type", ["custom:wechat:message", "custom:a.b", "custom:x:seen", "custom::", "custom:" + "x" * 93])
async def test_a_custom_types_name_may_have_colons_and_dots(type: str) -> None:
    async with open_world() as world:
        created = await world.json("POST", f"{world.path}/events", "ana", status=201, json={"type": type, "body": {"event_id": 1}})
        assert (await world.json("GET", f"{world.path}/events/{created['id']}", "max"))["type"] == type
        assert "state" not in await world.json("GET", f"{world.path}/events/1")


async def test_a_type_that_the_host_registered_may_be_posted() -> None:
    async with open_world(event_types={"poll"}) as world:
        await world.json("POST", f"{world.path}/events", "ana", status=201, json={"type": "poll", "body": {"a": 1}})
        assert (await world.types())[-1] == "poll"


@pytest.mark.parametrize("type", ["custom:x", "image", "message"])
async def test_nobody_posts_what_looks_like_a_deleted_event(type: str) -> None:
    async with open_world() as world:
        body = {"type": type, "body": {"timestamp": {"deleted": "rude", "more": 1}}}
        answer = await world.json("POST", f"{world.path}/events", "ana", status=400, json=body)
        assert answer["code"] == "conversation:error:invalid-event"
