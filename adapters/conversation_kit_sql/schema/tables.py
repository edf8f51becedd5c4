"""The tables, made for a prefix and a schema on MetaData of their own, so that no host's tables are in the way.

``application_id`` leads every key and every index: an application's rows lie together and can be told apart by it alone.
A column has the name of the domain model's field that it holds, and by that it is read and written: see ``queries/codecs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Double, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from conversation_kit.domain.models import ExclusionKind, LegStatus, MemberState, ReceiptKind
from conversation_kit_sql.schema.column_types import Characters, Instant, Json, LaterObject, LongText, Word

SCHEMA_VERSION = "conversation_kit_0004"
"""The newest revision, which makes what these tables are. Revisions sort by their names."""

_BY_KEY = {"sqlite_with_rowid": False}
"""SQLite keeps such a table's rows in the order of their key, and no second copy of the key."""


@dataclass(frozen=True, slots=True)
class Tables:
    """One set of tables."""

    metadata: MetaData
    conversation: Table
    user: Table
    member: Table
    event: Table
    receipt: Table
    leg: Table
    deletion: Table
    exclusion: Table
    block: Table
    removal: Table
    epoch: Table
    spent: Table
    answer: Table
    meter: Table


def _key(length: int = 64) -> Any:
    return Field(sa_type=Characters(length), primary_key=True)


def _text(length: int, *, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Characters(length), nullable=nullable)


def _instant(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_type=Instant, nullable=nullable)


def _json(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Json, nullable=nullable)


def _word(words: type[StrEnum], *, primary_key: bool = False) -> Any:
    return Field(sa_type=Word(words), nullable=False, primary_key=primary_key)


def _number() -> Any:
    return Field(default=0, sa_type=BigInteger, nullable=False)


def _count() -> Any:
    """Return the field of a number that came with a later revision: rows from before have 0."""
    return Field(default=0, sa_type=BigInteger, nullable=False, sa_column_kwargs={"server_default": "0"})


@cache  # for a host that makes many kits, as its tests do: classes are slow to make, and nothing changes them afterwards
def make_tables(prefix: str = "conversation_kit_", schema: str | None = None) -> Tables:
    """Make the tables under names that start with ``prefix``, in the database schema ``schema`` or the default one."""
    metadata = MetaData(schema=schema)

    class Base(SQLModel, registry=registry(metadata=metadata)):
        pass

    Base.metadata = metadata

    class ConversationRow(Base, table=True):
        __tablename__ = f"{prefix}conversation"
        __table_args__ = (
            UniqueConstraint("application_id", "name", name=f"{prefix}conversation_name"),
            Index(f"{prefix}conversation_created", "application_id", "created", "id"),
            Index(f"{prefix}conversation_expires", "application_id", "expires_at"),
        )
        application_id: str = _key(255)
        id: str = _key()
        name: str = _text(255)
        created: datetime = _instant(nullable=False)
        display_name: str | None = _text(255, nullable=True)
        image_url: str | None = _text(2048, nullable=True)
        numbers: dict[str, Any] = _json()
        properties: dict[str, Any] = _json()
        created_by: str | None = _text(64, nullable=True)
        sequence_number: int = _number()
        active_members: int = _number()
        joined_members: int = _number()
        updated: datetime | None = _instant()
        destroyed: datetime | None = _instant()
        expires_at: datetime | None = _instant()
        messages: int = _count()

    class UserRow(Base, table=True):
        __tablename__ = f"{prefix}user"
        __table_args__ = (
            UniqueConstraint("application_id", "name", name=f"{prefix}user_name"),
            Index(f"{prefix}user_created", "application_id", "created", "id"),
        )
        application_id: str = _key(255)
        id: str = _key()
        name: str = _text(255)
        created: datetime = _instant(nullable=False)
        display_name: str | None = _text(255, nullable=True)
        image_url: str | None = _text(2048, nullable=True)
        channels: dict[str, Any] = _json()
        updated: datetime | None = _instant()
        tokens_since: datetime | None = _instant()
        properties: dict[str, Any] = Field(default=None, sa_type=LaterObject, nullable=True)

    class MemberRow(Base, table=True):
        __tablename__ = f"{prefix}member"
        __table_args__ = (
            Index(f"{prefix}member_user", "application_id", "user_id", "state"),
            Index(f"{prefix}member_conversation_user", "application_id", "conversation_id", "user_id"),
            Index(f"{prefix}member_created", "application_id", "conversation_id", "created", "id"),
            Index(f"{prefix}member_inviter", "application_id", "invited_by", "state"),
        )
        application_id: str = _key(255)
        conversation_id: str = _key()
        id: str = _key()
        user_id: str = _text(64)
        user_name: str = _text(255)
        state: MemberState = _word(MemberState)
        channel: dict[str, Any] = _json()
        created: datetime = _instant(nullable=False)
        initiator: dict[str, Any] = _json()
        media: dict[str, Any] | None = _json(nullable=True)
        invited_by: str | None = _text(64, nullable=True)
        invited: datetime | None = _instant()
        joined: datetime | None = _instant()
        left: datetime | None = _instant()
        display_name: str | None = _text(255, nullable=True)
        image_url: str | None = _text(2048, nullable=True)
        since: int = _count()
        seen: int = _count()
        seen_messages: int = _count()

    class EventRow(Base, table=True):
        __tablename__ = f"{prefix}event"
        __table_args__ = _BY_KEY
        application_id: str = _key(255)
        conversation_id: str = _key()
        id: int = Field(sa_type=BigInteger, primary_key=True)
        data: str = Field(sa_type=LongText, nullable=False)
        messages: int = _count()

    class ReceiptRow(Base, table=True):
        __tablename__ = f"{prefix}receipt"
        __table_args__ = _BY_KEY
        application_id: str = _key(255)
        conversation_id: str = _key()
        event_id: int = Field(sa_type=BigInteger, primary_key=True)
        member_id: str = _key()
        kind: ReceiptKind = _word(ReceiptKind, primary_key=True)
        timestamp: datetime = _instant(nullable=False)
        receipt_id: int = _number()

    class LegRow(Base, table=True):
        __tablename__ = f"{prefix}leg"
        __table_args__ = (
            Index(f"{prefix}leg_created", "application_id", "created", "id"),
            Index(f"{prefix}leg_conversation", "application_id", "conversation_id", "status"),
            Index(f"{prefix}leg_knocking", "application_id", "knocking_id"),
        )
        application_id: str = _key(255)
        id: str = _key(255)
        type: str = _text(16)
        status: LegStatus = _word(LegStatus)
        direction: str = _text(16)
        created: datetime = _instant(nullable=False)
        session_id: str = _text(64)
        conversation_id: str | None = _text(64, nullable=True)
        member_id: str | None = _text(64, nullable=True)
        knocking_id: str | None = _text(64, nullable=True)
        sender: dict[str, Any] = _json()
        to: dict[str, Any] = _json()
        start_time: datetime | None = _instant()
        end_time: datetime | None = _instant()
        duration: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
        rate: str | None = _text(255, nullable=True)
        price: str | None = _text(255, nullable=True)
        network: str | None = _text(255, nullable=True)
        history: list[Any] = _json()

    class DeletionRow(Base, table=True):
        """A message that was deleted: those whose read pointer lies before it have one less to read."""

        __tablename__ = f"{prefix}deletion"
        __table_args__ = _BY_KEY
        application_id: str = _key(255)
        conversation_id: str = _key()
        event_id: int = Field(sa_type=BigInteger, primary_key=True)

    class ExclusionRow(Base, table=True):
        __tablename__ = f"{prefix}exclusion"
        __table_args__ = (Index(f"{prefix}exclusion_user", "application_id", "user_id"),)
        application_id: str = _key(255)
        conversation_id: str = _key()
        user_id: str = _key()
        kind: ExclusionKind = _word(ExclusionKind)
        created: datetime = _instant(nullable=False)
        excluded_by: str | None = _text(64, nullable=True)
        reason: str | None = _text(255, nullable=True)

    class BlockRow(Base, table=True):
        __tablename__ = f"{prefix}block"
        __table_args__ = (Index(f"{prefix}block_blocked", "application_id", "blocked_id"),)
        application_id: str = _key(255)
        user_id: str = _key()
        blocked_id: str = _key()
        created: datetime = _instant(nullable=False)

    class RemovalRow(Base, table=True):
        __tablename__ = f"{prefix}removal"
        application_id: str = _key(255)
        conversation_id: str = _key()
        events: int = _number()

    class EpochRow(Base, table=True):
        __tablename__ = f"{prefix}epoch"
        epoch: str = _key()

    class SpentRow(Base, table=True):
        __tablename__ = f"{prefix}spent"
        __table_args__ = (Index(f"{prefix}spent_expires", "application_id", "expires_at"), _BY_KEY)
        application_id: str = _key(255)
        mark: str = _key()
        expires_at: datetime = _instant(nullable=False)

    class AnswerRow(Base, table=True):
        __tablename__ = f"{prefix}answer"
        __table_args__ = (Index(f"{prefix}answer_expires", "application_id", "expires_at"),)
        application_id: str = _key(255)
        mark: str = _key()
        digest: str = _text(64)
        result: str = Field(sa_type=LongText, nullable=False)
        created: datetime = _instant(nullable=False)
        expires_at: datetime = _instant(nullable=False)

    class MeterRow(Base, table=True):
        """Usage of a limit, whose digest ``mark`` is, at ``read_at``; at ``expires_at`` at the latest it is nothing."""

        __tablename__ = f"{prefix}meter"
        __table_args__ = (Index(f"{prefix}meter_expires", "application_id", "expires_at"), _BY_KEY)
        application_id: str = _key(255)
        mark: str = _key()
        level: float = Field(sa_type=Double, nullable=False)
        read_at: datetime = _instant(nullable=False)
        expires_at: datetime = _instant(nullable=False)

    by_name = {table.name.removeprefix(prefix): table for table in metadata.tables.values()}
    return Tables(metadata, **by_name)
