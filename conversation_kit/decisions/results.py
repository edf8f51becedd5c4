"""Results of decisions as JSON, to be kept and given again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_type_hints

from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Block, Conversation, Exclusion, Leg, Member, User
from conversation_kit.domain.values.checks import to_json
from conversation_kit.domain.values.times import parse_instant, to_text

MODELS = {model.__name__: model for model in (Block, Conversation, Exclusion, Leg, Member, User)}


def encode(result: Any) -> str:
    """Return the JSON of what a decision has answered: a model, an event, a truth value or nothing.

    An event is without its body, which its log has: a text that is deleted there must not live on here.
    """
    if isinstance(result, Event):
        own = {name: result.fields[name] for name in ("type", "from", "to", "timestamp") if name in result.fields}
        return to_json({"Event": {"conversation_id": result.conversation_id, "id": result.id, **own}})
    if result is None or isinstance(result, bool):
        return to_json({"value": result})
    return to_json({type(result).__name__: {field.name: _plain(getattr(result, field.name)) for field in fields(result)}})


def decode(text: str, application_id: str) -> Any:
    """Return what ``encode`` made JSON of, in the application that it was in; the body of an event is empty."""
    ((kind, value),) = json.loads(text).items()
    if kind == "value":
        return value
    if kind == "Event":
        return Event.compose(
            application_id,
            value["conversation_id"],
            value["id"],
            type=value["type"],
            body={},
            timestamp=parse_instant(value["timestamp"]),
            sender=value.get("from"),
            to=value.get("to"),
        )
    model = MODELS[kind]
    readers = _readers(model)
    return model(**{name: readers[name](field) if name in readers and field is not None else field for name, field in value.items()})


def _plain(value: Any) -> Any:
    return to_text(value) if isinstance(value, datetime) else value


@cache
def _readers(model: type[Any]) -> Mapping[str, Callable[[Any], Any]]:
    """Return what makes of a field's JSON its value, for the fields where that is another one."""
    readers: dict[str, Callable[[Any], Any]] = {}
    for name, hint in get_type_hints(model).items():
        kinds = {hint, *get_args(hint)}
        if datetime in kinds:
            readers[name] = parse_instant
        elif isinstance(hint, type) and issubclass(hint, StrEnum):
            readers[name] = hint
        elif name == "history":
            readers[name] = tuple
    return readers
