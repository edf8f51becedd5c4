"""Types of columns that hold the same values in the same order in every database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic_core import from_json
from sqlalchemy import BigInteger, Dialect, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from conversation_kit_sql.database.dialects.finding import dialect_for

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_instant(milliseconds: int) -> datetime:
    """Return the instant so many milliseconds after the beginning of 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_number(instant: datetime) -> int:
    """Return the number of milliseconds from the beginning of 1970 to this instant."""
    return (instant - _EPOCH) // _MILLISECOND


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, kept as whole milliseconds since 1970: exact and ordered alike in every database."""

    impl = BigInteger
    cache_ok = True
    decode = staticmethod(to_instant)
    """Makes the value of what the driver gives, when that is not NULL."""

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the instant as milliseconds."""
        return None if value is None else to_number(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the instant of the milliseconds."""
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
        """Return the database's own type."""
        return dialect.type_descriptor(dialect_for(dialect).characters(self.length))


class LongText(TypeDecorator[str]):
    """Text of any length that is stored and never searched."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the database's own type, as it is: of Text, ``type_descriptor`` would make PostgreSQL's VARCHAR."""
        return dialect_for(dialect).long_text()


class Json(TypeDecorator[Any]):
    """A JSON value as the text that it is: databases' own JSON types reorder keys and round numbers."""

    impl = LongText
    cache_ok = True
    decode = staticmethod(from_json)
    """Makes the value of what the driver gives, when that is not NULL."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return the value as text."""
        return None if value is None else _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the value of the text."""
        return None if value is None else from_json(value)


class LaterObject(Json):
    """A JSON object that came with a later revision: rows from before have NULL, which is ``{}``."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the object."""
        return {} if value is None else from_json(value)


class Word(TypeDecorator[StrEnum]):
    """One of an enumeration's words."""

    impl = Characters
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__(16)
        self.words = words
        self.decode: Callable[[str], StrEnum] = words
        """Makes the value of what the driver gives, when that is not NULL."""

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        """Return the text of the word."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Return the word of the text."""
        return None if value is None else self.words(value)
