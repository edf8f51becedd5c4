"""Codecs: between the rows of a table, as the driver gives them, and a domain model, by the names that columns and fields share.

A codec is worked out once, at the start: it writes the function that takes a row apart as a person would write it, with the place of each
column in it. So a row costs no look-up of names, and a column that is added to a model and its table is read and written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import groupby
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import BigInteger, Column, Table

from conversation_kit_sql.schema.column_types import Instant, Json, LaterObject, Word

M = TypeVar("M")
RawRow: TypeAlias = tuple[Any, ...]
"""A row as the driver gives it: milliseconds for instants, text for JSON, words for enumerations."""


class RowCodec(Generic[M]):
    """Codec of rows that hold the columns of ``table`` that ``model`` has fields for, in their order.

    ``moving`` are the fields that change with every message, and ``moved`` makes of a model one that has these. All else is remembered by
    the whole row, for ``remembered`` rows, because the same people write again and again: what is made of equal rows is equal and never
    changes.
    ``finish`` are functions for fields that are of another type than their JSON.
    """

    def __init__(
        self,
        model: type[M],
        table: Table,
        *,
        moving: Sequence[str] = (),
        moved: Callable[..., M] | None = None,
        remembered: int = 1024,
        finish: Mapping[str, Callable[[Any], Any]] = {},
    ) -> None:
        self.names = tuple(field.name for field in fields(model))  # type: ignore[arg-type]
        columns = [column for column in table.c if column.name in self.names]
        self.width = len(columns)
        places = {column.name: place for place, column in enumerate(columns)}
        resting = [place for name, place in places.items() if name not in moving]
        inner = {columns[place].name: number for number, place in enumerate(resting)}
        tools: dict[str, Any] = {"model": model, "moved": moved}
        arguments = ", ".join(f"{name}={_value(columns[places[name]], place, finish, tools)}" for name, place in inner.items())
        self.still: Callable[[RawRow], M] = lru_cache(maxsize=remembered)(_made(f"model({arguments})", tools))
        """Return the model of ``rest(row)``, whose moving fields have their defaults."""
        self.rest: Callable[[RawRow], RawRow] = _made(_slices(resting), {})
        """Return what is in a row beside its moving fields."""
        movements = "".join(f", row[{places[name]}]" for name in moving)
        pattern = "moved({}" + movements + ")" if moving else "{}"
        self.decode: Callable[[RawRow], M] = _made(pattern.format(f"still({_slices(resting)})"), {**tools, "still": self.still})
        """Return the model of a row."""
        fresh = self.still.__wrapped__
        self.decode_once: Callable[[RawRow], M] = _made(pattern.format(f"still({_slices(resting)})"), {**tools, "still": fresh})
        """Return the model of a row of a list, which is not remembered: it would push those out that come again."""
        self.encode: Callable[[M], dict[str, Any]] = _made("{" + ", ".join(f"{name!r}: row.{name}" for name in self.names) + "}", {})
        """Return the values of a model by the names of their columns."""
        keys = {column.name for column in table.primary_key}
        watched = [columns[place] for place in resting if columns[place].name not in keys]
        self.only_moved: Callable[[M, M], bool] = _made(" and ".join(map(_same, watched)), {}, "row, old")
        """Tell whether nothing but moving fields differs between two models, as far as can be told at a glance."""


def _value(column: Column[Any], place: int, finish: Mapping[str, Callable[[Any], Any]], tools: dict[str, Any]) -> str:
    """Return the words that make the value of a field; functions that they need go to ``tools``."""
    value = text = f"row[{place}]"
    if isinstance(column.type, Instant | Json | Word):
        tools[f"decode_{column.name}"] = column.type.decode
        text = f"decode_{column.name}({value})"
    if column.name in finish:
        tools[f"finish_{column.name}"] = finish[column.name]
        text = f"finish_{column.name}({text})"
    if column.nullable and text != value:
        return f"({'{}' if isinstance(column.type, LaterObject) else None} if {value} is None else {text})"
    return text


def _slices(places: Sequence[int]) -> str:
    """Return the words for a row with these places only: slices, which are faster than one place after the other."""
    runs = [[place for _, place in run] for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0])]
    return " + ".join(f"row[{run[0]}:{run[-1] + 1}]" for run in runs)


def _same(column: Column[Any]) -> str:
    operator = "==" if isinstance(column.type, BigInteger) else "is"
    return f"row.{column.name} {operator} old.{column.name}"


def _made(words: str, tools: Mapping[str, Any], parameters: str = "row") -> Any:
    return eval(f"lambda {parameters}: {words}", dict(tools))
