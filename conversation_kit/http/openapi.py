"""The OpenAPI document, made from the same table that routes requests."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from conversation_kit.http import answers
from conversation_kit.http.operations import Operation
from conversation_kit.http.requests import ActorBody

TAGS = {
    "Conversation": "Where users meet: members, and the log of what happens between them.",
    "User": "Somebody of the application, who can be a member of many conversations.",
    "Member": "A user's membership of a conversation over one channel.",
    "Event": "What happened in a conversation, numbered from 1 without holes.",
    "Stream": "Extensions: events as they come.",
    "Leg": "A connection of a user over some medium.",
}
PATH_PARAMETERS = {
    "conversation_id": "The conversation's id.",
    "member_id": "The member's id.",
    "user_id": "The user's id.",
    "event_id": "The event's id: digits.",
    "leg_id": "The leg's id.",
}
ERRORS = {
    "400": "The input is not valid, or the present state does not allow it.",
    "401": "No token, or one that cannot be trusted.",
    "403": "Not the caller's to do.",
    "404": "Does not exist, or not for this caller.",
    "405": "The path takes other methods; `Allow` names them.",
    "406": "What there is here is a stream: accept `text/event-stream`.",
    "413": "The body is too long.",
    "429": "Too many of them at once; `Retry-After` says when to try again.",
    "415": "The body is not JSON.",
    "503": "The storage or a hook of this server cannot answer now; try again.",
}
_BLANK_FORM = r"^[0-9]{3}[1-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_DATE = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, {"type": "string", "pattern": _BLANK_FORM}],
    "examples": ["2026-01-01T10:00:00Z", "2026-01-01 10:00:00"],
}


def query_parameter(name: str, page_size: int) -> dict[str, Any]:
    """A query parameter by its name."""
    text = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}
    cursor = {"type": "string", "maxLength": 10_000, "pattern": r"^[A-Za-z0-9_-]*$"}
    known: dict[str, tuple[str, dict[str, Any]]] = {
        "page_size": ("How many to answer.", {"type": "integer", "minimum": 1, "maximum": 100, "default": page_size}),
        "record_index": (
            "The row offset of the first one, counted from 0. Not a page number.",
            {"type": "integer", "minimum": 0, "maximum": 2**53, "default": 0},
        ),
        "order": ("By creation, oldest or newest first.", {"type": "string", "enum": ["asc", "desc", "ASC", "DESC"], "default": "asc"}),
        "date_start": ("Only those created at or after this instant; UTC unless it says otherwise.", _DATE),
        "date_end": ("Only those created before this instant; UTC unless it says otherwise.", _DATE),
        "after": ("Where the stream goes on: what the last record had as `id`, or 0 for the beginning.", cursor),
        "start_id": ("Only events from this id on.", {"type": "integer", "minimum": 0, "maximum": 2**53}),
        "end_id": ("Only events up to this id.", {"type": "integer", "minimum": 0, "maximum": 2**53}),
        "from": ("The member of the caller on whose behalf it happens.", text),
        "reason_code": ("Why, for programs.", text),
        "reason_text": ("Why, for people.", text),
    }
    description, schema = known[name]
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


@lru_cache(maxsize=1)
def _schemas(operations: tuple[Operation, ...]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = []
    for operation in operations:
        if operation.body is not None:
            inputs.append((operation.id + ".body", "validation", TypeAdapter(operation.body)))
        inputs.append((operation.id, "serialization", TypeAdapter(operation.answer)))
    inputs.append(("actor", "validation", TypeAdapter(ActorBody)))
    inputs.append(("error", "serialization", TypeAdapter(answers.Error)))
    made, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return {(key, mode): schema for (key, mode), schema in made.items()}, shared["$defs"]


def document(operations: tuple[Operation, ...], *, prefix: str = "", server: str | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document. ``prefix`` stands before every path, ``server`` is the base URL of all of them."""
    schemas, shared = deepcopy(_schemas(operations))
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(prefix + operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Conversation API",
            "version": "1.6.0",
            "description": "Conversations, users, members, events and legs, served by conversation-kit "
            + version("conversation-kit")
            + ".",
        },
        **({"servers": [{"url": server}]} if server else {}),
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "security": [{"bearerAuth": []}],
        "paths": paths,
        "components": {
            "schemas": shared,
            "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(operation: Operation, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    statuses = {"400", "401", "403", "405", "503", *(str(status) for status in operation.errors)}
    made: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        **({"x-extension": True} if operation.extension else {}),
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        "parameters": [*_path_parameters(operation.path), *(query_parameter(name, operation.page_size) for name in operation.query)],
        "responses": {str(operation.status): _response("Done.", schemas[(operation.id, "serialization")], operation.media_type)},
    }
    if operation.body is not None:
        made["requestBody"] = _request(schemas[(operation.id + ".body", "validation")], operation.body_required)
        statuses |= {"413", "415"}
    for status in sorted(statuses):
        made["responses"][status] = _response(ERRORS[status], schemas[("error", "serialization")])
    return made


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name, description in PATH_PARAMETERS.items():
        if f"{{{name}}}" in path:
            schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f-\x9f/]+$"}
            yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _request(schema: Any, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _response(description: str, schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}
