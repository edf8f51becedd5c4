"""Paths and the operations that are found at them."""

from __future__ import annotations

from typing import Any

import pytest

from conversation_kit.http.beta.api import OPERATIONS
from conversation_kit.http.beta.schemas import responses
from conversation_kit.http.serving.api import Operation
from conversation_kit.http.serving.errors import HTTPError
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import EMPTY, Reply
from conversation_kit.http.serving.routing import Routes, Target


async def nothing(request: Request[Any]) -> Reply:
    return EMPTY


def operation(id: str, path: str, *, slashes: bool = False) -> Operation:
    return Operation(id, "GET", path, "Tag", "Do nothing", nothing, responses.Empty, slashes=slashes)


def test_an_id_holds_slashes_where_its_operation_says_so() -> None:
    routes = Routes(
        [
            operation("leg", "/legs/{leg_id}", slashes=True),
            operation("legs", "/legs"),
            operation("file", "/rooms/{room_id}/files/{name}", slashes=True),
            operation("room", "/rooms/{room_id}"),
        ]
    )
    for path, id, params in (
        ("/legs", "legs", {}),
        ("/legs/one", "leg", {"leg_id": "one"}),
        ("/legs/a/b", "leg", {"leg_id": "a/b"}),
        ("/legs/a//b/", "leg", {"leg_id": "a//b/"}),
        ("/rooms/1/files/a", "file", {"room_id": "1", "name": "a"}),
        ("/rooms/1/files/a/b/c", "file", {"room_id": "1", "name": "a/b/c"}),
        ("/rooms/1", "room", {"room_id": "1"}),
    ):
        found = routes.find("GET", path, "")
        assert isinstance(found, Target)
        assert (found.operation.id, found.params) == (id, params), path
    for path in ("/rooms/1/2", "/rooms/1/2/3", "/rooms/1/files", "/legs/", "/rooms/1/files/"):
        with pytest.raises(HTTPError):
            routes.find("GET", path, "")


def test_ids_of_legs_alone_hold_slashes() -> None:
    assert {one.path for one in OPERATIONS if one.slashes} == {"/legs/{leg_id}"}
