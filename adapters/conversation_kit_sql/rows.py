"""Between rows and domain models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Row

from conversation_kit.domain.models import Conversation, Leg, Member, Receipt, User

M = TypeVar("M", Conversation, User, Member, Receipt, Leg)
_NAMES = {model: tuple(field.name for field in fields(model)) for model in (Conversation, User, Member, Receipt, Leg)}


def to_row(model: Conversation | User | Member | Receipt | Leg, **more: Any) -> dict[str, Any]:
    """The values of a row to insert; ``more`` are columns that the model does not have."""
    return {**{name: getattr(model, name) for name in _NAMES[type(model)]}, **more}


def to_update(model: Conversation | User | Member | Leg, *key: str) -> dict[str, Any]:
    """The parameters of an update statement of ``statements``: the values by name, the key as ``key_...``."""
    row = to_row(model)
    for name in ("application_id", *key):
        row[f"key_{name}"] = row.pop(name)
    return row


def changed(old: Conversation, new: Conversation) -> dict[str, Any]:
    """The values of ``new`` that differ from those of ``old``."""
    return {name: value for name in _NAMES[Conversation] if (value := getattr(new, name)) != getattr(old, name)}


def to_model(model: Callable[..., M], row: Row[Any]) -> M:
    """The model of a row whose columns stand in the order of the model's fields."""
    return model(*row)


def to_leg(row: Row[Any]) -> Leg:
    """The leg of a row; its history comes back as the tuple that it was."""
    values = list(row)
    values[-1] = tuple(values[-1])
    return Leg(*values)
