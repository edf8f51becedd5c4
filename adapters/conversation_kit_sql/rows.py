"""Between rows and domain models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from pydantic_core import from_json
from sqlalchemy import Row

from conversation_kit.domain.models import Conversation, Leg, Member, MemberState, Receipt, ReceiptKind, User, at_pointer, at_sequence
from conversation_kit_sql.tables import to_instant

M = TypeVar("M", Conversation, User, Member, Receipt, Leg)
_NAMES = {model: tuple(field.name for field in fields(model)) for model in (Conversation, User, Member, Receipt, Leg)}
_WIDTH_OF_USER = len(_NAMES[User])


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


def only_moved_on(old: Conversation, new: Conversation) -> bool:
    """Whether nothing but events came to the conversation, as far as can be told at a glance."""
    return (
        new.properties is old.properties
        and new.numbers is old.numbers
        and new.name is old.name
        and new.display_name is old.display_name
        and new.image_url is old.image_url
        and new.updated is old.updated
        and new.expires_at is old.expires_at
        and new.created_by is old.created_by
        and new.destroyed is old.destroyed
        and new.active_members == old.active_members
        and new.joined_members == old.joined_members
    )


def to_model(model: Callable[..., M], row: Row[Any]) -> M:
    """The model of a row whose columns stand in the order of the model's fields."""
    return model(*row)


def to_leg(row: Row[Any]) -> Leg:
    """The leg of a row; its history comes back as the tuple that it was."""
    values = list(row)
    values[-1] = tuple(values[-1])
    return Leg(*values)


# The same of rows as the driver gives them. Remembered by all that is in the row, because the same people write again and again,
# and what is made of equal rows is equal and never changes.


def conversation_of(row: tuple[Any, ...]) -> Conversation:
    """A conversation; its numbers move on with every message, all else hardly ever."""
    return at_sequence(_conversation_of(row[:9] + row[10:15]), row[9], row[15])


@lru_cache(maxsize=1024)
def _conversation_of(row: tuple[Any, ...]) -> Conversation:
    (
        application_id,
        id,
        name,
        created,
        display_name,
        image_url,
        numbers,
        properties,
        created_by,
        active,
        joined,
        updated,
        destroyed,
        ends,
    ) = row
    return Conversation(
        application_id,
        id,
        name,
        to_instant(created),
        display_name,
        image_url,
        from_json(numbers),
        from_json(properties),
        created_by,
        0,
        active,
        joined,
        _instant(updated),
        _instant(destroyed),
        _instant(ends),
    )


@lru_cache(maxsize=1024)
def user_of(row: tuple[Any, ...]) -> User:
    """A user."""
    application_id, id, name, created, display_name, image_url, channels, updated = row
    return User(application_id, id, name, to_instant(created), display_name, image_url, from_json(channels), _instant(updated))


def member_of(row: tuple[Any, ...]) -> Member:
    """A member; its pointer moves on with every message of its own, all else hardly ever."""
    return at_pointer(_member_of(row[:-2]), *row[-2:])


@lru_cache(maxsize=2048)
def _member_of(row: tuple[Any, ...]) -> Member:
    (
        application_id,
        conversation_id,
        id,
        user_id,
        user_name,
        state,
        channel,
        created,
        initiator,
        media,
        invited_by,
        invited,
        joined,
        left,
        since,
    ) = row
    return Member(
        application_id,
        conversation_id,
        id,
        user_id,
        user_name,
        MemberState(state),
        from_json(channel),
        to_instant(created),
        from_json(initiator),
        None if media is None else from_json(media),
        invited_by,
        _instant(invited),
        _instant(joined),
        _instant(left),
        since,
    )


_WIDTH_OF_CONVERSATION = len(_NAMES[Conversation])


def membership_of(row: tuple[Any, ...]) -> tuple[Conversation, Member]:
    """A conversation and the member that follows."""
    return conversation_of(row[:_WIDTH_OF_CONVERSATION]), member_of(row[_WIDTH_OF_CONVERSATION:])


def reader_of(row: tuple[Any, ...]) -> tuple[User, Conversation | None, Member | None]:
    """A user, and the conversation and the member that follow, if there are any."""
    more = row[_WIDTH_OF_USER:]
    conversation, member = more[:_WIDTH_OF_CONVERSATION], more[_WIDTH_OF_CONVERSATION:]
    return (
        user_of(row[:_WIDTH_OF_USER]),
        None if conversation[0] is None else conversation_of(conversation),
        None if member[0] is None else member_of(member),
    )


def caller_of(row: tuple[Any, ...]) -> tuple[User, Member | None]:
    """A user and the member that follows, if there is one."""
    user, member = _caller_of(row[:-2])
    return user, None if member is None else at_pointer(member, *row[-2:])


@lru_cache(maxsize=2048)
def _caller_of(row: tuple[Any, ...]) -> tuple[User, Member | None]:
    member = row[_WIDTH_OF_USER:]
    return user_of(row[:_WIDTH_OF_USER]), None if member[0] is None else _member_of(member)


def receipt_of(row: tuple[Any, ...]) -> Receipt:
    """A receipt."""
    conversation_id, event_id, member_id, kind, timestamp, receipt_id = row
    return Receipt(conversation_id, event_id, member_id, ReceiptKind(kind), to_instant(timestamp), receipt_id)


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else to_instant(milliseconds)
