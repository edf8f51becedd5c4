"""Rows of one or several models, by the codecs of their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Row

from conversation_kit.domain.drafts import at_pointer, at_sequence
from conversation_kit.domain.models import (
    Block,
    Conversation,
    Exclusion,
    Leg,
    Member,
    Receipt,
    User,
)
from conversation_kit.domain.values.answers import Answer
from conversation_kit_sql.queries.codecs import RawRow, RowCodec
from conversation_kit_sql.schema.tables import make_tables

M = TypeVar("M", Conversation, User, Member, Receipt, Leg, Exclusion, Block)

# The columns are the same whatever the tables are called.
_tables = make_tables()
CONVERSATIONS = RowCodec(Conversation, _tables.conversation, moving=("sequence_number", "messages"), moved=at_sequence)
USERS = RowCodec(User, _tables.user)
MEMBERS = RowCodec(Member, _tables.member, moving=("seen", "seen_messages"), moved=at_pointer, remembered=2048)
LEGS = RowCodec(Leg, _tables.leg, finish={"history": tuple})
RECEIPTS = RowCodec(Receipt, _tables.receipt)
EXCLUSIONS = RowCodec(Exclusion, _tables.exclusion)
BLOCKS = RowCodec(Block, _tables.block)
ANSWERS = RowCodec(Answer, _tables.answer)

CODECS: Mapping[type, RowCodec[Any]] = {
    Conversation: CONVERSATIONS,
    User: USERS,
    Member: MEMBERS,
    Receipt: RECEIPTS,
    Leg: LEGS,
    Exclusion: EXCLUSIONS,
    Block: BLOCKS,
    Answer: ANSWERS,
}

# One by one, because they are called for every message.
conversation_of, listed_conversation = CONVERSATIONS.decode, CONVERSATIONS.decode_once
user_of, listed_user = USERS.decode, USERS.decode_once
member_of, leg_of = MEMBERS.decode, LEGS.decode_once
exclusion_of, block_of, answer_of = EXCLUSIONS.decode, BLOCKS.decode, ANSWERS.decode_once
only_moved_on = CONVERSATIONS.only_moved


def to_row(model: Conversation | User | Member | Receipt | Leg | Exclusion | Block | Answer, **more: Any) -> dict[str, Any]:
    """Return the values of a row to insert; ``more`` are columns that the model does not have."""
    return {**CODECS[type(model)].encode(model), **more}


def to_update(model: Conversation | User | Member | Leg, *key: str) -> dict[str, Any]:
    """Return the parameters of an update statement of ``statements``: the values by name, the key as ``key_...``."""
    row = to_row(model)
    for name in ("application_id", *key):
        row[f"key_{name}"] = row.pop(name)
    return row


def changed(old: Conversation, new: Conversation) -> dict[str, Any]:
    """Return the values of ``new`` that differ from those of ``old``."""
    return {name: value for name in CONVERSATIONS.names if (value := getattr(new, name)) != getattr(old, name)}


def to_model(model: Callable[..., M], row: Row[Any]) -> M:
    """Return the model of a row of SQLAlchemy's, whose columns are called like the model's fields."""
    return model(**row._mapping)


def to_leg(row: Row[Any]) -> Leg:
    """Return the leg of a row of SQLAlchemy's; its history comes back as the tuple that it was."""
    return Leg(**{**row._mapping, "history": tuple(row._mapping["history"])})


def membership_of(row: RawRow) -> tuple[Conversation, Member]:
    """Return a conversation and the member that follows."""
    return conversation_of(row[: CONVERSATIONS.width]), member_of(row[CONVERSATIONS.width :])


def reader_of(row: RawRow) -> tuple[User, Conversation | None, Member | None]:
    """Return a user, and the conversation and the member that follow, if there are any."""
    more = row[USERS.width :]
    conversation, member = more[: CONVERSATIONS.width], more[CONVERSATIONS.width :]
    return (
        user_of(row[: USERS.width]),
        None if conversation[0] is None else conversation_of(conversation),
        None if member[0] is None else member_of(member),
    )


def caller_of(row: RawRow) -> tuple[User, Member | None]:
    """Return a user and the member that follows, if there is one."""
    user, member = row[: USERS.width], row[USERS.width :]
    return user_of(user), None if member[0] is None else member_of(member)
