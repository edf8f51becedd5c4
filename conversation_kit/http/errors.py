"""Errors as clients get them: always JSON, with a ``code`` to branch on (SEMANTICS section 6)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from conversation_kit.domain.errors import (
    ConversationKitError,
    Forbidden,
    HookFailed,
    InvalidInput,
    NotFound,
    Rejected,
    RequestError,
    StorageUnavailable,
    Unauthenticated,
)
from conversation_kit.http.responses import Answer

logger = logging.getLogger("conversation_kit")

STATUS_OF_CODE = {
    "http:error:method-not-allowed": 405,
    "http:error:not-acceptable": 406,
    "http:error:payload-too-large": 413,
    "http:error:unsupported-media-type": 415,
    "http:error:validation-fail": 400,
    "stream:error:capacity": 503,
    "stream:error:origin": 403,
    "stream:error:too-many": 429,
    "system:error:permission": 403,
}
STATUS_OF_ENDING = {
    "not-found": 404,
    "not-joined": 403,
    "permission-denied": 403,
    "duplicate-name": 400,
}
STATUS_OF_CLASS: tuple[tuple[type[RequestError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Rejected, 403),
    (RequestError, 400),
)
RETRY_AFTER_SECONDS = "1"
MAX_TOLD = 10
"""How many wrong fields one answer names."""
_VARIANTS = frozenset(
    {"int", "float", "constrained-int", "constrained-float", "constrained-str", "Channel", "LegReference", "dict[str,any]"}
)
"""What pydantic puts into a path for the variants of a union; no client knows them."""


class DoorError(RequestError):
    """What is wrong with a request before anybody looks at what it asks for."""

    def __init__(self, code: str, description: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description, code)
        self.headers = dict(headers or {})


def status_of(error: RequestError) -> int:
    """The status of an error: by its code, by how the code ends, or by what kind of error it is."""
    status = STATUS_OF_CODE.get(error.code) or STATUS_OF_ENDING.get(error.code.rpartition(":")[2])
    return status or next(status for class_, status in STATUS_OF_CLASS if isinstance(error, class_))


def answer_error(error: Exception, path: str) -> Answer:
    """The answer to a request that went wrong; what nobody foresaw is logged and told as an internal error."""
    if isinstance(error, RequestError):
        headers = dict(error.headers) if isinstance(error, DoorError) else {}
        if isinstance(error, Unauthenticated):
            headers["WWW-Authenticate"] = "Bearer"
        fields = error.fields if isinstance(error, InvalidInput) else {}
        return problem(status_of(error), error.code, error.description, path, fields, headers)
    if isinstance(error, StorageUnavailable):
        logger.error("storage unavailable: %s", error)
        headers = {"Retry-After": RETRY_AFTER_SECONDS}
        return problem(503, "system:error:unavailable", "The server cannot reach its storage; try again.", path, {}, headers)
    if isinstance(error, HookFailed):
        headers = {"Retry-After": RETRY_AFTER_SECONDS}
        return problem(503, "system:error:hook-failed", str(error), path, {}, headers)
    kind = "the kit is not set up rightly" if isinstance(error, ConversationKitError) else "unexpected error"
    logger.error("%s while answering %s", kind, path, exc_info=error)
    return problem(500, "http:error:internal", "Something went wrong in the server; it has been logged.", path)


def problem(
    status: int,
    code: str,
    description: str,
    path: str,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """An error answer. ``fields`` is what is wrong with which field."""
    description = _clean(description)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": description,
        "instance": _clean(path)[:500],
        "code": _clean(code),
        "description": description,
    }
    if fields:
        body["error"] = {_clean(name): [_clean(f'"{name}" {reason}')] for name, reason in fields.items()}
    return Answer.json(body, status, headers)


def _clean(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()


def invalid_body(error: ValidationError) -> InvalidInput:
    """What pydantic found, by field."""
    fields: dict[str, str] = {}
    for found in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_TOLD]:
        path = ".".join(str(part) for part in found["loc"] if part not in _VARIANTS)
        fields.setdefault(path or "body", _sentence(found["msg"]))
    return InvalidInput(fields)


def _sentence(message: str) -> str:
    for start in ("Input should be ", "Value error, "):
        if message.startswith(start):
            return "must be " + message[len(start) :] if start.startswith("Input") else message[len(start) :]
    return f"is wrong: {message}"
