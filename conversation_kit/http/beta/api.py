"""The Conversation API v1.6.0 as a value."""

from __future__ import annotations

from typing import Any, Final

from conversation_kit.domain.models import MemberState
from conversation_kit.http.beta import blocks, conversations, events, feeds, legs, members, streams, users
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.schemas import examples, responses
from conversation_kit.http.beta.schemas.bodies import ActorBody
from conversation_kit.http.serving.api import API, Operation, Parameter, Wire

OPERATIONS: Final[tuple[Operation, ...]] = (
    *conversations.OPERATIONS,
    *members.OPERATIONS,
    *events.OPERATIONS,
    *users.OPERATIONS,
    *legs.OPERATIONS,
)
EXTENSIONS: Final[tuple[Operation, ...]] = (*streams.EXTENSIONS, *feeds.EXTENSIONS, *blocks.EXTENSIONS)
"""Operations of the kit beside those of the API."""

_BLANK_FORM = r"^[0-9]{3}[1-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_DATE = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, {"type": "string", "pattern": _BLANK_FORM}],
    "examples": ["2026-01-01T10:00:00Z", "2026-01-01 10:00:00"],
}
_STATES = "^({0})(,({0}))*$".format("|".join(MemberState))
_CURSOR = {"type": "string", "maxLength": 10_000, "pattern": r"^[A-Za-z0-9_-]*$", "examples": ["0"]}


def _text(example: str) -> dict[str, Any]:
    return {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$", "examples": [example]}


def _number(**more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": 2**53, **more}


TAGS: Final = {
    "Conversation": "Where users meet: members, and the log of what happens between them.",
    "User": "Somebody of the application, who can be a member of many conversations.",
    "Member": "A user's membership of a conversation over one channel.",
    "Event": "What happened in a conversation, numbered from 1 without holes.",
    "Stream": "Extensions: events as they come.",
    "Leg": "A connection of a user over some medium.",
}
PATH_PARAMETERS: Final = {
    "conversation_id": Parameter("The conversation's id.", example=examples.CONVERSATION),
    "member_id": Parameter("The member's id.", example=examples.MEMBER),
    "user_id": Parameter("The user's id; a user's own may be written `me`.", example="me"),
    "blocked_id": Parameter("The id of the user who may not invite.", example=examples.USER),
    "event_id": Parameter("The event's id: digits.", example=examples.EVENT),
    "leg_id": Parameter("The leg's id.", example=examples.LEG),
}
"""Descriptions of path parameters with an example, which the documentation's page fills in."""

QUERY_PARAMETERS: Final = {
    "page_size": Parameter("How many to answer.", {"type": "integer", "minimum": 1, "maximum": 100}),
    "record_index": Parameter("The row offset of the first one, counted from 0. Not a page number.", _number(default=0)),
    "order": Parameter(
        "By creation, oldest or newest first. Capital letters are taken, too.",
        {"type": "string", "enum": ["asc", "desc"], "default": "asc"},
    ),
    "date_start": Parameter("Only those created at or after this instant; UTC unless it says otherwise.", _DATE),
    "date_end": Parameter("Only those created before this instant; UTC unless it says otherwise.", _DATE),
    "after": Parameter("Where the stream goes on: what the last record had as `id`, or 0 for the beginning.", _CURSOR),
    "conversations": Parameter(
        "Only these conversations of the user: up to 100 ids with commas between.", {**_text(examples.CONVERSATION), "maxLength": 10_000}
    ),
    "start_id": Parameter("Only events from this id on.", _number(examples=[1])),
    "end_id": Parameter("Only events up to this id.", _number(examples=[100])),
    "from": Parameter("The member of the caller on whose behalf it happens.", _text(examples.MEMBER)),
    "name": Parameter("Only the one of this name.", _text("ana")),
    "state": Parameter(
        "Only those in this state; several with commas between.", {"type": "string", "pattern": _STATES, "examples": ["joined"]}
    ),
    "reason_code": Parameter("Why, for programs.", _text("moved")),
    "reason_text": Parameter("Why, for people.", _text("Moved to another team")),
}

BETA: Final = API(
    "beta",
    "1.6.0",
    "Conversation API",
    "Conversations, users, members, events and legs",
    operations=(*OPERATIONS, *EXTENSIONS),
    links=Links,
    wire=Wire(error_schema=responses.Problem),
    acl_versions=("beta", "v1", "v0.1"),  # under which tokens of the past wrote their access lists
    schemas=(ActorBody,),
    tags=TAGS,
    path_parameters=PATH_PARAMETERS,
    query_parameters=QUERY_PARAMETERS,
)
