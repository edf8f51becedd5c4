"""Errors as clients get them: always JSON, with a ``code`` to branch on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

from pydantic import ValidationError

from conversation_kit.domain.errors import (
    ConversationKitError,
    Forbidden,
    HookFailed,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Rejected,
    RequestError,
    StorageUnavailable,
    Unauthenticated,
)
from conversation_kit.http.serving.response import Response

logger = logging.getLogger("conversation_kit")

STATUS_OF_CODE = {
    "http:error:capacity": 503,
    "http:error:idempotency-in-flight": 409,
    "http:error:idempotency-mismatch": 422,
    "http:error:method-not-allowed": 405,
    "http:error:not-acceptable": 406,
    "http:error:payload-too-large": 413,
    "http:error:request-timeout": 408,
    "http:error:too-many-answers": 429,
    "http:error:too-many-requests": 429,
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
UNKNOWN_OUTCOME = "The server lost its storage while it stored this, so it has happened or not: look before you send it again."
MAX_TOLD = 10
"""Number of wrong fields that one answer names."""
_VARIANTS = frozenset(
    {"int", "float", "constrained-int", "constrained-float", "constrained-str", "Channel", "LegReference", "dict[str,any]"}
)
"""Parts of a path with which pydantic names the variants of a union; no client knows them."""


class HTTPError(RequestError):
    """An error of a request that is found before anybody looks at what it asks for."""

    def __init__(self, code: str, description: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description, code)
        self.headers = dict(headers or {})


def status_of(error: RequestError) -> int:
    """Return the status of an error: by its code, by how the code ends, or by what kind of error it is."""
    status = STATUS_OF_CODE.get(error.code) or STATUS_OF_ENDING.get(error.code.rpartition(":")[2])
    return status or next(status for class_, status in STATUS_OF_CLASS if isinstance(error, class_))


@dataclass(frozen=True, slots=True)
class Problem:
    """Description of what went wrong with a request at ``path``; ``fields`` is what is wrong with which field.

    ``retry_after`` is in how many seconds the same request may go well, if that is known.
    """

    status: int
    code: str
    description: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None


ErrorBody: TypeAlias = Callable[[Problem], Any]
"""Makes the body of an error answer, as an API has them."""


def problem_details(problem: Problem) -> dict[str, Any]:
    """Return the body of an error as RFC 9457 has it, with a ``code`` and a ``description``.

    What is wrong with which field, and after how many seconds to try again, are there if there is something to say.
    """
    description = _clean(problem.description)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": description,
        "instance": _clean(problem.path)[:500],
        "code": _clean(problem.code),
        "description": description,
    }
    if problem.fields:
        body["error"] = {_clean(name): [_clean(f'"{name}" {reason}')] for name, reason in problem.fields.items()}
    if problem.retry_after is not None:
        body["retry_after"] = problem.retry_after
    return body


def answer_error(error: Exception, path: str, body: ErrorBody = problem_details) -> Response:
    """Return the answer to a request that went wrong; what nobody foresaw is logged and told as an internal error."""
    problem, headers = _explain(error, path)
    return Response.json(body(problem), problem.status, headers)


def _explain(error: Exception, path: str) -> tuple[Problem, Mapping[str, str] | None]:
    """Return what to tell of an error, with the headers of the answer."""
    if isinstance(error, RequestError):
        headers = dict(error.headers) if isinstance(error, HTTPError) else {}
        if isinstance(error, Unauthenticated):
            headers["WWW-Authenticate"] = "Bearer"
        seconds: int | None = None
        if error.retry_after is not None:
            seconds = max(math.ceil(error.retry_after), 1)
            headers["Retry-After"] = str(seconds)
        fields = error.fields if isinstance(error, InvalidInput) else {}
        return Problem(status_of(error), error.code, error.description, path, fields, seconds), headers
    if isinstance(error, OutcomeUnknown):
        logger.error("outcome unknown: %s", error)
        # Without Retry-After, which would ask clients and proxies to repeat it.
        return Problem(504, "system:error:unknown-outcome", UNKNOWN_OUTCOME, path), None
    if isinstance(error, StorageUnavailable):
        logger.error("storage unavailable: %s", error)
        told = "The server cannot reach its storage; try again."
        return Problem(503, "system:error:unavailable", told, path), {"Retry-After": RETRY_AFTER_SECONDS}
    if isinstance(error, HookFailed):
        return Problem(503, "system:error:hook-failed", str(error), path), {"Retry-After": RETRY_AFTER_SECONDS}
    kind = "the kit is not set up rightly" if isinstance(error, ConversationKitError) else "unexpected error"
    logger.error("%s while answering %r", kind, path, exc_info=error)
    return Problem(500, "http:error:internal", "Something went wrong in the server; it has been logged.", path), None


def _clean(text: str) -> str:
    """Return the text without halves of surrogate pairs, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()


def invalid_body(error: ValidationError) -> InvalidInput:
    """Return the errors that pydantic found, by field."""
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
