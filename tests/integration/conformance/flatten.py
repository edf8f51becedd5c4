"""An OpenAPI document as a table: per operation its parameters, status, and property paths such as ``members[].state``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, operation in item.items():
            if method == "parameters":
                continue
            table[operation["operationId"]] = _operation(document, method, path, operation, shared)
    return table


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any], shared: list[Any]) -> dict[str, Any]:
    parameters = [resolve(document, parameter) for parameter in [*shared, *operation.get("parameters", [])]]
    body = resolve(document, operation.get("requestBody", {}))
    answers = {status: resolve(document, answer) for status, answer in operation["responses"].items()}
    success = next(status for status in answers if status.startswith("2"))
    return {
        "method": method.upper(),
        "path": path,
        "parameters": sorted(f"{parameter['in']} {parameter['name']}" for parameter in parameters),
        "request": _properties(document, body),
        "status": success,
        "answer": _properties(document, answers[success]),
    }


def _properties(document: dict[str, Any], content: dict[str, Any]) -> list[str]:
    schema = content.get("content", {}).get("application/json", {}).get("schema", {})
    return sorted(set(property_paths(document, schema, "")))


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def property_paths(document: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[str]:
    schema = resolve(document, schema)
    for variant in [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]:
        yield from property_paths(document, variant, prefix)
    for name, below in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield path
        yield from property_paths(document, below, path)
    if "items" in schema:
        yield from property_paths(document, schema["items"], f"{prefix}[]")


def value_paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The same paths of a JSON value."""
    if isinstance(value, dict):
        for name, below in value.items():
            path = f"{prefix}.{name}" if prefix else name
            yield path
            yield from value_paths(below, path)
    elif isinstance(value, list):
        for below in value:
            yield from value_paths(below, f"{prefix}[]")
