"""The OpenAPI document, made from the same table that routes requests."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from importlib.metadata import version
from string import Formatter
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from conversation_kit.http.serving.api import API, Operation, Parameter

ERRORS = {
    "400": "The input is not valid, or the present state does not allow it.",
    "401": "No token, or one that cannot be trusted.",
    "403": "Not the caller's to do.",
    "404": "Does not exist, or not for this caller.",
    "405": "The path takes other methods; `Allow` names them.",
    "406": "What there is here is a stream: accept `text/event-stream`.",
    "408": "The body takes too long to arrive.",
    "409": "The first request with this idempotency key is still under way; `Retry-After` says when to try again.",
    "413": "The body is too long.",
    "422": "The idempotency key was used for another request.",
    "415": "The body is not JSON.",
    "429": "More than a limit allows, and nothing was stored; `Retry-After` says when to try again.",
    "503": "The storage or a hook of this server cannot answer now, and nothing was stored; try again.",
    "504": "The storage was lost while it stored this: it has happened or not.",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Marks repeats of a request: they get the first answer, with `Idempotent-Replayed: true`, and nothing happens twice.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]+$",
        "examples": ["6f1d7c0e-6d0f-4b0e-9d5e-0f6c3c1b7a52"],
    },
}
PATH_ID = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f-\x9f/]+$"}
"""Shape of what a path names, as the routing takes it."""


@lru_cache(maxsize=8)
def _schemas(api: API) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = []
    for operation in api.operations:
        if operation.body is not None:
            inputs.append((operation.id + ".body", "validation", TypeAdapter(operation.body)))
        inputs.append((operation.id, "serialization", TypeAdapter(operation.response)))
    inputs.extend((schema.__name__, "validation", TypeAdapter(schema)) for schema in api.schemas)
    inputs.append(("error", "serialization", TypeAdapter(api.wire.error_schema)))
    made, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return {(key, mode): schema for (key, mode), schema in made.items()}, shared.get("$defs", {})


def document(api: API, *, prefix: str = "", server: str | None = None) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document. ``prefix`` stands before every path, ``server`` is the base URL of all of them."""
    schemas, shared = deepcopy(_schemas(api))
    paths: dict[str, Any] = {}
    for operation in api.operations:
        paths.setdefault(prefix + operation.path, {})[operation.method.lower()] = _operation(api, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": api.title,
            "version": api.version,
            "description": f"{api.description}, served by conversation-kit {version('conversation-kit')}.",
        },
        **({"servers": [{"url": server}]} if server else {}),
        "tags": [{"name": name, "description": description} for name, description in api.tags.items()],
        "security": [{"bearerAuth": []}],
        "paths": paths,
        "components": {
            "schemas": shared,
            "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(api: API, operation: Operation, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    statuses = {"400", "401", "403", "405", "503", *(str(status) for status in operation.errors)}
    if operation.method != "GET":
        statuses |= {"409", "422", "504"}
    made: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        **({"x-extension": True} if operation.extension else {}),
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        "parameters": [
            *_path_parameters(api, operation.path),
            *(_query_parameter(api, name, operation) for name in operation.query),
            *([deepcopy(IDEMPOTENCY_KEY)] if operation.method != "GET" else []),
        ],
        "responses": {str(operation.status): _response("Done.", schemas[(operation.id, "serialization")], operation.media_type)},
    }
    if operation.body is not None:
        made["requestBody"] = _request(schemas[(operation.id + ".body", "validation")], operation)
        statuses |= {"408", "413", "415"}
    for status in sorted(statuses):
        made["responses"][status] = _response(ERRORS[status], schemas[("error", "serialization")])
    return made


def _path_parameters(api: API, path: str) -> Iterable[dict[str, Any]]:
    for _, name, _, _ in Formatter().parse(path):
        if name is not None:
            known = api.path_parameters.get(name, Parameter(name))
            example = {} if known.example is None else {"example": known.example}
            yield {"name": name, "in": "path", "required": True, "description": known.description, **example, "schema": dict(PATH_ID)}


def _query_parameter(api: API, name: str, operation: Operation) -> dict[str, Any]:
    """Return a query parameter. Its example is its schema's: the documentation's page would send a parameter's own unasked."""
    known = api.query_parameters.get(name, Parameter(name))
    schema = deepcopy(dict(known.schema))
    if name == "page_size":
        schema["default"] = operation.page_size
    return {"name": name, "in": "query", "required": False, "description": known.description, "schema": schema}


def _request(schema: Any, operation: Operation) -> dict[str, Any]:
    bodies = {summary: {"summary": summary, "value": body} for summary, body in operation.examples.items()}
    return {"required": operation.body_required, "content": {"application/json": {"schema": schema, "examples": bodies}}}


def _response(description: str, schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}
