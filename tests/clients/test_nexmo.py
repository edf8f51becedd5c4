"""The published Node client of this generation of the API, unmodified, against ``conversation-kit serve`` on an SQLite file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.npm import install
from tests.support.processes import keygen, serve

HERE = Path(__file__).parent
APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
SECONDS = 120.0


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    folder = install(HERE / "package.json")
    directory = tmp_path_factory.mktemp("nexmo")
    keys, others = keygen(directory / "keys"), keygen(directory / "others")
    application = f"{APPLICATION}={keys / 'public.pem'}"
    with serve(directory, "--application", application, "--storage", f"sqlite:///{directory / 'chat.db'}") as server:
        port = server.url.rpartition(":")[2]
        done = subprocess.run(
            ["node", HERE / "nexmo.js", APPLICATION, keys / "private.pem", others / "private.pem", port],
            env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield Report(json.loads(done.stdout), f"http://api.nexmo.com:{port}/beta")


class Report:
    """What the script saw. ``base`` is where the client believed to call."""

    def __init__(self, told: dict[str, Any], base: str) -> None:
        assert "crash" not in told, told["crash"]
        self.told = told
        self.base = base
        self.calls: list[dict[str, Any]] = told["calls"]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["name"] == name]

    def results(self, name: str) -> list[Any]:
        """What the calls of this method that went well came back with."""
        return [call["result"] for call in self.of(name) if call["error"] is None]

    def outcomes(self, name: str) -> list[int | tuple[int, str]]:
        """The status of each call of this method, with the code where it went wrong."""
        return [outcome(call) for call in self.of(name)]


def outcome(call: dict[str, Any]) -> int | tuple[int, str]:
    (status,) = call["statuses"]
    error = call["error"]
    if error is None:
        return int(status)
    assert error["statusCode"] == status
    assert error["body"]["description"]
    return status, error["body"]["code"]


def test_the_client_is_the_pinned_one_and_calls_where_it_always_does(report: Report) -> None:
    installed = json.loads((install(HERE / "package.json") / "node_modules" / "nexmo" / "package.json").read_text())
    assert installed["version"] == "2.5.4-beta-1"
    assert report.told["host"] == "api.nexmo.com"


def test_its_tokens_have_no_end_and_no_user(report: Report) -> None:
    assert report.told["claims"] == ["application_id", "iat", "jti"]


def test_every_call_is_answered_to_its_callback(report: Report) -> None:
    assert len(report.calls) == 53
    assert {call["returned"] for call in report.calls} == {"undefined"}
    assert all(len(call["statuses"]) == 1 for call in report.calls)


def test_users(report: Report) -> None:
    assert report.outcomes("users.create") == [
        200,
        200,
        200,
        (400, "user:error:duplicate-name"),
        (401, "system:error:invalid-token"),
    ]
    ana, bo, cy = report.results("users.create")
    assert ana == {"id": ana["id"], "name": "ana", "display_name": "Ana", "href": f"{report.base}/users/{ana['id']}"}
    assert bo == {"id": bo["id"], "name": "bo", "href": f"{report.base}/users/{bo['id']}"}

    assert report.outcomes("users.get") == [200, 200, 200, (404, "user:error:not-found"), 200, (404, "user:error:not-found")]
    one, all_, page, after = report.results("users.get")
    assert one == {**ana, "image_url": "https://example.com/ana.png", "channels": {}, "properties": {}}
    assert all_ == [{"id": user["id"], "name": user["name"], "href": user["href"]} for user in (ana, bo, cy)]
    assert page == [all_[1]]
    assert after == {**one, "display_name": "Ana B."}

    assert report.outcomes("users.update") == [200]
    assert report.results("users.update") == [{"id": ana["id"], "href": ana["href"]}]
    assert report.outcomes("users.delete") == [200]
    assert report.results("users.delete") == [["{}"]]


def test_conversations(report: Report) -> None:
    assert report.outcomes("conversations.create") == [
        200,
        200,
        (400, "conversation:error:duplicate-name"),
        (400, "http:error:validation-fail"),
    ]
    room, second = report.results("conversations.create")
    assert room == {"id": room["id"], "href": f"{report.base}/conversations/{room['id']}"}
    assert list(report.of("conversations.create")[3]["error"]["body"]["error"]) == ["name"]

    gone = (404, "conversation:error:not-found")
    assert report.outcomes("conversations.get") == [200, 200, 200, gone, 200, (401, "system:error:invalid-token"), gone, 200]
    new, all_, page, later, none = report.results("conversations.get")
    assert new == {
        "uuid": room["id"],
        "name": "room",
        "display_name": "The Room",
        "numbers": {},
        "properties": {"video": False, "ttl": 3600},
        "timestamp": {"created": new["timestamp"]["created"]},
        "sequence_number": "0",
        "members": [],
        "api_key": APPLICATION,
        "_links": {"self": {"href": room["href"]}, "members": {"href": f"{room['href']}/members"}},
    }
    rows = all_["_embedded"]["conversations"]
    assert rows[0] == {"uuid": room["id"], "name": "room", "href": room["href"], "_links": {"self": {"href": room["href"]}}}
    assert [row["uuid"] for row in rows] == [room["id"], second["id"]]
    assert (all_["count"], all_["page_size"], all_["record_index"]) == (2, 10, 0)
    assert (page["count"], page["page_size"], page["record_index"]) == (2, 1, 1)
    assert page["_embedded"]["conversations"] == rows[1:]
    assert page["_links"]["prev"]["href"] == f"{report.base}/conversations?page_size=1&record_index=0"
    assert (none["count"], none["_embedded"]) == (0, {"conversations": []})

    assert later["display_name"] == "The Hall"
    assert later["sequence_number"] == "10"
    assert [(member["name"], member["state"]) for member in later["members"]] == [("ana", "joined"), ("bo", "joined"), ("cy", "left")]

    assert report.outcomes("conversations.update") == [200]
    assert report.results("conversations.update") == [room]
    assert report.outcomes("conversations.record") == [(404, "http:error:not-found")]
    assert report.outcomes("conversations.delete") == [200, gone, 200]
    assert report.results("conversations.delete") == [["{}"], ["{}"]]


def test_members(report: Report) -> None:
    ana, bo, cy = report.results("users.create")
    room = report.results("conversations.create")[0]
    assert report.outcomes("conversations.members.create") == [201, 201, (400, "conversation:error:member-already-joined")]
    assert report.outcomes("conversations.members.add") == [201]
    joined, invited = report.results("conversations.members.create")
    (left,) = report.results("conversations.members.add")
    assert joined == {
        "id": joined["id"],
        "user_id": ana["id"],
        "state": "joined",
        "timestamp": {"joined": joined["timestamp"]["joined"]},
        "channel": {"type": "app"},
        "href": f"{room['href']}/members/{joined['id']}",
        "initiator": {"joined": {"isSystem": True}},
    }
    assert (invited["user_id"], invited["state"], list(invited["timestamp"])) == (bo["id"], "invited", ["invited"])

    assert report.outcomes("conversations.members.get") == [200, 200, 200, (404, "member:error:not-found")]
    one, all_, page = report.results("conversations.members.get")
    assert one == {**invited, "user_name": "bo", "name": "bo"}
    states = ((joined, ana, "joined"), (invited, bo, "joined"), (left, cy, "left"))
    assert all_ == [
        {
            "id": member["id"],
            "member_id": member["id"],
            "user_id": user["id"],
            "user_name": user["name"],
            "name": user["name"],
            "state": state,
            **({"display_name": "Ana B.", "image_url": "https://example.com/ana.png"} if user is ana else {}),
        }
        for member, user, state in states
    ]
    assert page == all_[2:]

    assert report.outcomes("conversations.members.update") == [200]
    (accepted,) = report.results("conversations.members.update")
    assert (accepted["id"], accepted["state"], list(accepted["timestamp"])) == (invited["id"], "joined", ["invited", "joined"])
    assert report.outcomes("conversations.members.delete") == [200]
    assert report.results("conversations.members.delete") == [["{}"]]


def test_events(report: Report) -> None:
    room = report.results("conversations.create")[0]
    ana, bo = (member["id"] for member in report.results("conversations.members.create"))
    assert report.outcomes("conversations.events.create") == [201, 201, 201, (400, "conversation:error:invalid-member-state")]
    text, seen, note = report.results("conversations.events.create")
    assert text == {"id": "7", "timestamp": text["timestamp"], "href": f"{room['href']}/events/7"}
    assert (seen["id"], note["id"]) == ("8", "9")

    gone = (404, "event:error:not-found")
    assert report.outcomes("conversations.events.get") == [200, 200, 200, 200, gone]
    one, all_, some, emptied = report.results("conversations.events.get")
    assert one == {
        "id": "7",
        "type": "text",
        "from": ana,
        "timestamp": text["timestamp"],
        "body": {"text": "Grüße 🎈"},
        "state": {"seen_by": {bo: seen["timestamp"]}},
        "href": text["href"],
    }
    assert [(event["id"], event["type"]) for event in all_] == [
        ("1", "conversation:updated"),
        ("2", "member:joined"),
        ("3", "member:invited"),
        ("4", "member:joined"),
        ("5", "member:joined"),
        ("6", "member:left"),
        ("7", "text"),
        ("8", "text:seen"),
        ("9", "custom:note"),
    ]
    assert all_[6] == one
    assert (all_[8]["from"], all_[8]["to"], all_[8]["body"]) == (bo, ana, {"n": 1})
    assert some == [all_[4], all_[3], all_[2]]

    assert report.outcomes("conversations.events.delete") == [200, gone]
    assert report.results("conversations.events.delete") == [["{}"]]
    assert list(emptied["body"]) == ["timestamp"]
    assert {**emptied, "body": one["body"]} == one


def test_the_conversations_of_a_user(report: Report) -> None:
    room = report.results("conversations.create")[0]
    created = report.results("conversations.get")[0]["timestamp"]["created"]
    bo = report.results("conversations.members.create")[1]["id"]
    assert report.outcomes("users.getConversations") == [200, 200]
    of_bo, of_cy = report.results("users.getConversations")
    assert of_bo == [
        {
            "id": room["id"],
            "name": "room",
            "display_name": "The Hall",
            "state": "joined",
            "member_id": bo,
            "sequence_number": 10,
            "seen": 9,
            "unread": 0,
            "timestamp": {"created": created},
            "href": room["href"],
        }
    ]
    assert of_cy == []
