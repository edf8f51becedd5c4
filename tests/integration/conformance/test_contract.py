"""The contract of the API, v1.6.0: what it names is served, documented and exercised.

``contract.json`` holds the names of the 22 operations' parameters and properties. With ``CONVERSATION_KIT_SPEC`` naming the API's own
document, the table is compared with it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.integration.conformance.contract import CONTRACT
from tests.integration.conformance.flatten import operations, value_paths
from tests.support.world import World, make_kit, open_world

NEVER_ANSWERED = {
    "retrieveConversation": {"timestamp.destroyed"},  # a deleted conversation answers 404
    "createMember": {"timestamp.left"},  # who has just come has not left
}
STORAGES = ["memory://", "sqlite:///{folder}/chat.db"]


def readings(operation_id: str, names: list[str]) -> set[str]:
    """The document calls the list of legs ``conversations``, a slip that its own example and its successors correct."""
    if operation_id == "listLegs":
        return {name.replace("_embedded.conversations", "_embedded.legs") for name in names}
    return set(names)


def test_the_contract_is_the_specification() -> None:
    file = os.environ.get("CONVERSATION_KIT_SPEC")
    if not file:
        pytest.skip("CONVERSATION_KIT_SPEC does not name the API's own document")
    assert operations(yaml.safe_load(Path(file).read_text())) == CONTRACT


@pytest.mark.parametrize("operation_id", CONTRACT)
def test_the_served_document_has_all_that_the_contract_names(operation_id: str) -> None:
    served = operations(make_kit().openapi())[operation_id]
    wanted = CONTRACT[operation_id]
    for key in ("method", "path", "status"):
        assert served[key] == wanted[key]
    for key in ("parameters", "request", "answer"):
        assert readings(operation_id, wanted[key]) <= set(served[key])


def test_the_served_document_has_these_operations_and_those_that_it_calls_extensions_and_their_errors() -> None:
    document = make_kit().openapi("/beta")
    extensions = {
        operation["operationId"] for item in document["paths"].values() for operation in item.values() if operation.get("x-extension")
    }
    assert extensions == {"createStreamTicket", "createUserStreamTicket", "getUserEvents", "blockUser", "unblockUser", "getUserBlocks"}
    assert set(operations(document)) == set(CONTRACT) | extensions
    for item in document["paths"].values():
        for operation in item.values():
            assert {"400", "401", "403", "405"} <= set(operation["responses"])
    assert all(path.startswith("/beta/") for path in document["paths"])


class Recorder:
    """Calls operations by their ids, checks each answer against the served document, and notes what went in and came out."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.document = world.kit.openapi()
        self.sent: dict[str, set[str]] = defaultdict(set)
        self.received: dict[str, set[str]] = defaultdict(set)

    async def call(
        self, operation_id: str, *ids: str, who: str = "admin", query: str = "", body: Any = None, status: int | None = None
    ) -> Any:
        contract = CONTRACT[operation_id]
        path: str = contract["path"]
        names = [name.partition("}")[0] for name in path.split("{")[1:]]
        for name, id in zip(names, ids, strict=True):
            path = path.replace(f"{{{name}}}", id)
            self.sent[operation_id].add(f"path {name}")
        options: dict[str, Any] = {} if body is None else {"json": body}
        response = await self.world.call(contract["method"], path + (f"?{query}" if query else ""), who, **options)
        assert response.status_code == (status or int(contract["status"])), response.text
        self.sent[operation_id] |= {f"query {pair.partition('=')[0]}" for pair in query.split("&") if pair}
        self.sent[operation_id] |= set(value_paths(body))
        self._check(operation_id, contract, response)
        if response.status_code < 300:
            self.received[operation_id] |= set(value_paths(response.json()))
        return response.json()

    def _check(self, operation_id: str, contract: dict[str, Any], response: httpx2.Response) -> None:
        answers = self.document["paths"][contract["path"]][contract["method"].lower()]["responses"]
        schema = answers[str(response.status_code)]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": self.document["components"]})
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(response.json())]
        assert not errors, (operation_id, errors)


PHONE = {
    "type": "phone",
    "from": {"type": "app", "number": "ana"},
    "to": {"type": "phone", "number": "447700900585"},
    "leg_id": "leg-1",
    "leg_ids": [{"leg_id": "leg-1"}],
}


@pytest.mark.anyio
@pytest.mark.parametrize("url", STORAGES)
async def test_every_operation_parameter_and_property_is_exercised(url: str, tmp_path: Path) -> None:
    async with open_world(make_kit(url.format(folder=tmp_path)), populate=False) as world:
        record = Recorder(world)
        await exercise(record)
    for operation_id, contract in CONTRACT.items():
        wanted_in = set(contract["parameters"]) | set(contract["request"])
        assert wanted_in <= record.sent[operation_id], (operation_id, wanted_in - record.sent[operation_id])
        wanted_out = readings(operation_id, contract["answer"]) - NEVER_ANSWERED.get(operation_id, set())
        assert wanted_out <= record.received[operation_id], (operation_id, wanted_out - record.received[operation_id])


async def exercise(record: Recorder) -> None:
    call = record.call
    kit = record.world.kit
    profile = {"display_name": "Ana", "image_url": "https://example.com/ana.png", "channels": PHONE}
    users = {name: (await call("createUser", body={"name": name, **profile}))["href"].rpartition("/")[2] for name in ("ana", "bo", "cy")}
    await call("updateUser", users["ana"], body={"name": "ana", **profile}, who="ana")
    await call("getUsers", query="page_size=2&record_index=0&order=desc")
    await call("getUser", users["ana"], who="ana")
    await call("getUser", "USR-none", status=404)

    attributes = {
        "name": "room",
        "display_name": "The Room",
        "image_url": "https://example.com/room.png",
        "numbers": {"pstn": "14155550100", "sms": "442079460000"},
        "properties": {"ttl": 3600, "speaking_detection_level": 0},
    }
    room = (await call("createConversation", body=attributes, who="ana"))["id"]
    await call("replaceConversation", room, body={**attributes, "display_name": "Our Room"}, who="ana")
    await call(
        "listConversations", query="date_start=2018-01-01 10:00:00&date_end=2999-01-01 10:00:00&page_size=5&record_index=0&order=ASC"
    )
    await call("listConversations", query="page_size=0", status=400)

    app = {"type": "app"}
    ana = (await call("createMember", room, body={"action": "join", "user_id": users["ana"], "channel": app}, who="ana"))["id"]
    knocker = await kit.legs.knock("sip", sender={"type": "sip", "uri": "sip:bo@example.com"})
    invitation = {
        "action": "invite",
        "user_id": users["bo"],
        "channel": PHONE,
        "media": {"audio_settings": {"enabled": True, "earmuffed": False, "muted": False}},
        "member_id_inviting": ana,
    }
    bo = (await call("createMember", room, body=invitation))["id"]
    await call("createMember", room, body={"action": "join", "user_id": users["bo"], "member_id": bo}, who="bo")
    guest = {"action": "invite", "user_id": users["cy"], "channel": {"type": "sip"}, "knocking_id": knocker.knocking_id}
    cy = (await call("createMember", room, body=guest, who="ana"))["id"]
    await call(
        "updateMember",
        room,
        cy,
        body={"action": "join", "channel": {**PHONE, "type": "sip", "leg_id": knocker.id, "leg_ids": []}},
        who="cy",
    )
    await call(
        "createMember",
        room,
        body={"action": "join", "user_id": users["cy"], "channel": {**PHONE, "leg_id": "leg-2", "leg_ids": [{"leg_id": "leg-2"}]}},
    )
    second = (await call("createMember", room, body={"action": "join", "user_id": users["cy"], "channel": app}))["id"]
    await call("getMember", room, second, who="cy")
    await call("getMember", room, "MEM-none", who="cy", status=404)
    await call("getMembers", room, query="page_size=10&record_index=0&order=asc", who="ana")
    await call("updateMember", room, cy, body={"action": "join", "channel": PHONE}, who="cy", status=400)

    said = await call("createEvent", room, body={"type": "text", "from": ana, "to": bo, "body": {"text": "hello"}}, who="ana")
    await call("createEvent", room, body={"type": "text:seen", "from": bo, "body": {"event_id": said["id"]}}, who="bo")
    await call("createEvent", room, body={"type": "text:typing:on", "from": bo, "body": {"activity": 1}}, who="bo")
    await call("createEvent", room, body={"type": "nonsense", "from": bo}, who="bo", status=400)
    await call("getEvent", room, said["id"], who="bo")
    await call("getEvents", room, query="start_id=1&end_id=99&order=asc&page_size=100&record_index=0", who="bo")
    await call("deleteEvent", room, said["id"], query=f"from={ana}", who="ana")
    await call("getEvent", room, said["id"], who="bo")

    await call("getuserConversations", users["ana"], query="page_size=10", who="ana")
    await call("deleteMember", room, second, query=f"from={second}&reason_code=bye&reason_text=Bye", who="cy")
    await call("retrieveConversation", room, who="ana")

    await kit.legs.update("leg-1", "ringing")
    await kit.legs.update("leg-1", "answered", rate="0.01", price="0.10", network="23410")
    await call("deleteLeg", "leg-1")
    await call("listLegs", query="date_start=2018-01-01T10:00:00Z&date_end=2999-01-01&page_size=10&record_index=0&order=DESC")
    await call("deleteLeg", "leg-1")
    await call("deleteLeg", "leg-1", status=404)
    await call("deleteUser", users["cy"])
    await call("deleteConversation", room, who="ana")
    await call("retrieveConversation", room, status=404)
