"""The tables, made for a prefix and a schema on MetaData of their own, so that no host's tables are in the way.

``application_id`` leads every key and every index: an application's rows lie together and can be told apart by it alone.
The columns of each table stand in the order of the domain model's fields, so that a row is the model's arguments.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic_core import from_json
from sqlalchemy import BigInteger, Dialect, Index, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects.mysql import MEDIUMTEXT, VARCHAR
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

from conversation_kit.domain.models import LegStatus, MemberState, ReceiptKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_BY_KEY = {"sqlite_with_rowid": False}
"""SQLite keeps such a table's rows in the order of their key, and no second copy of the key."""


def to_instant(milliseconds: int) -> datetime:
    """The instant so many milliseconds after the beginning of 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_number(instant: datetime) -> int:
    """How many milliseconds after the beginning of 1970 it is."""
    return (instant - _EPOCH) // _MILLISECOND


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, kept as whole milliseconds since 1970: exact and ordered alike in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To milliseconds."""
        return None if value is None else to_number(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From milliseconds."""
        return None if value is None else to_instant(value)


class Characters(TypeDecorator[str]):
    """Text of at most so many characters, compared and ordered by its code points in every database.

    Left to themselves, MariaDB takes upper and lower case, accents and trailing blanks for the same, and PostgreSQL orders by the language
    that it was set up with.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(String(self.length, collation="C"))
        if collation := _mysql_collation(dialect):
            return dialect.type_descriptor(VARCHAR(self.length, charset="utf8mb4", collation=collation))
        return dialect.type_descriptor(String(self.length))


class LongText(TypeDecorator[str]):
    """Text of any length that is stored and never searched."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type; MySQL's TEXT would hold 64 kB."""
        if collation := _mysql_collation(dialect):
            return dialect.type_descriptor(MEDIUMTEXT(charset="utf8mb4", collation=collation))
        return Text()  # of which type_descriptor would make PostgreSQL's VARCHAR


def _mysql_collation(dialect: Dialect) -> str | None:
    """The binary collation without padding, which MariaDB and MySQL call differently; ``None`` for other databases."""
    if dialect.name not in ("mysql", "mariadb"):
        return None
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class Json(TypeDecorator[Any]):
    """A JSON value as the text that it is: databases' own JSON types reorder keys and round numbers."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """To text."""
        return None if value is None else _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """From text."""
        return None if value is None else from_json(value)


class Word(TypeDecorator[StrEnum]):
    """One of an enumeration's words."""

    impl = Characters
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__(16)
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        """To the word."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """From the word."""
        return None if value is None else self.words(value)


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
    """A number that came with a later revision: rows from before have 0."""
    return Field(default=0, sa_type=BigInteger, nullable=False, sa_column_kwargs={"server_default": "0"})


@cache  # for a host that makes many kits, as its tests do: classes are slow to make, and nothing changes them afterwards
def make_tables(prefix: str = "conversation_kit_", schema: str | None = None) -> Tables:
    """The tables under names that start with ``prefix``, in the database schema ``schema`` or the default one."""
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

    class MemberRow(Base, table=True):
        __tablename__ = f"{prefix}member"
        __table_args__ = (
            Index(f"{prefix}member_user", "application_id", "user_id", "state"),
            Index(f"{prefix}member_conversation_user", "application_id", "conversation_id", "user_id"),
            Index(f"{prefix}member_created", "application_id", "conversation_id", "created", "id"),
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

    by_name = {table.name.removeprefix(prefix): table for table in metadata.tables.values()}
    return Tables(metadata, **by_name)
