"""The examples of the document: every field that a request can have shows one, and what the page fills in does something sensible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conversation_kit.http.beta.api import EXTENSIONS, OPERATIONS
from tests.support.world import make_kit, open_world

DOCUMENT = make_kit().openapi()
EVERYTHING = {operation.id: operation for operation in (*OPERATIONS, *EXTENSIONS)}
WITH_BODY = [id for id, operation in EVERYTHING.items() if operation.body is not None]


def served(id: str) -> dict[str, Any]:
    operation = EVERYTHING[id]
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def misfits(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value by its schema."""
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def fields(schema: Any, path: str, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields below a schema, by their paths."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        if name not in seen:
            yield from fields(DOCUMENT["components"]["schemas"][name], path, seen | {name})
    for choice in schema.get("anyOf", ()):
        yield from fields(choice, path, seen)
    for name, property in schema.get("properties", {}).items():
        yield f"{path}.{name}", property
        yield from fields(property, f"{path}.{name}", seen)


@pytest.mark.parametrize("id", WITH_BODY)
def test_every_field_of_a_body_has_examples_that_fit(id: str) -> None:
    schema = served(id)["requestBody"]["content"]["application/json"]["schema"]
    found = dict(fields(schema, id))
    assert found
    assert [path for path, field in found.items() if not (field.get("examples") or "const" in field)] == []
    wrong = {path: misfits(field, value) for path, field in found.items() for value in field.get("examples", ()) if misfits(field, value)}
    assert wrong == {}


@pytest.mark.parametrize("id", EVERYTHING)
def test_every_parameter_has_an_example_that_fits_and_only_those_of_paths_are_filled_in(id: str) -> None:
    for parameter in served(id)["parameters"]:
        schema = parameter["schema"]
        # What has an example of its own is sent as it is. A filter that nobody asked for would hide the rest of a list.
        assert ("example" in parameter) == (parameter["in"] == "path"), parameter
        examples = [parameter["example"]] if "example" in parameter else schema.get("examples") or [schema["default"]]
        assert [value for value in examples if misfits(schema, value)] == [], parameter


@pytest.mark.parametrize("id", EVERYTHING)
def test_every_part_of_a_path_is_a_parameter(id: str) -> None:
    operation = EVERYTHING[id]
    named = [parameter["name"] for parameter in served(id)["parameters"] if parameter["in"] == "path"]
    assert operation.path.format(**dict.fromkeys(named, "")) == "/".join(
        "" if part[:1] == "{" else part for part in operation.path.split("/")
    )


def test_no_list_of_choices_names_one_twice() -> None:
    parameters = [parameter for id in EVERYTHING for parameter in served(id)["parameters"]]
    for parameter in parameters:
        choices = [choice.lower() for choice in parameter["schema"].get("enum", ())]
        assert len(choices) == len(set(choices)), parameter


@pytest.mark.parametrize("id", WITH_BODY)
def test_every_body_is_tried_out_with_examples_that_fit(id: str) -> None:
    content = served(id)["requestBody"]["content"]["application/json"]
    bodies = {name: example["value"] for name, example in content["examples"].items()}
    assert bodies
    assert {name: misfits(content["schema"], value) for name, value in bodies.items() if misfits(content["schema"], value)} == {}


STORY = {
    "createConversation": "ana",
    "createMember": "ana",
    "createEvent": "ana",
    "updateMember": "bo",
    "replaceConversation": "ana",
    "createUser": "admin",
    "updateUser": "ana",
}
"""Who executes what, one after the other."""


@pytest.mark.anyio
async def test_what_the_page_fills_in_is_accepted_when_it_is_executed_in_turn() -> None:
    assert set(STORY) == set(WITH_BODY)
    ids: dict[str, str] = {"user_id": "me"}
    async with open_world() as world:
        for id, who in STORY.items():
            operation = EVERYTHING[id]
            for example in served(id)["requestBody"]["content"]["application/json"]["examples"].values():
                response = await world.call(operation.method, operation.path.format(**ids), who, json=example["value"])
                assert response.status_code == operation.status, response.text
            made = {"createConversation": "conversation_id", "createMember": "member_id"}.get(id)
            if made is not None:
                ids[made] = response.json()["id"]
        types = [event.type for event in await world.kit.events.list(ids["conversation_id"])]
        assert types[:3] == ["member:joined", "member:invited", "text"]


@pytest.mark.anyio
async def test_users_are_themselves_in_the_paths_that_the_page_fills_in() -> None:
    (user,) = (one for one in served("getuserConversations")["parameters"] if one["name"] == "user_id")
    async with open_world() as world:
        listed = await world.json("GET", f"/users/{user['example']}/conversations", "ana")
        assert [row["id"] for row in listed] == [world.conversation]
