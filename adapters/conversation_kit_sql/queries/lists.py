"""Pages of lists: as many rows as fit, without reading more than a page may hold.

A page is read with the weight of each row at its end, and without its long texts. If any of the rows that fit has such, they are read once
more, whole. So a page of ordinary rows is one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Select, bindparam, case, func

from conversation_kit.domain.reading import Page, fitting
from conversation_kit_sql.database.compiled import CompiledStatement, run
from conversation_kit_sql.queries.weights import bare_weight, octets, texts_of, weight


@dataclass(frozen=True, slots=True)
class Bound:
    """The part of a page that is read at first: at most ``size`` rows, without texts of more than ``longest`` bytes.

    ``most`` is how many bytes the page may have, ``bare`` how many of them a row has without its texts.
    """

    size: int
    longest: int
    most: int
    bare: int

    @classmethod
    def of(cls, page: Page, texts: int, bare: int) -> Bound | None:
        """Return the bound of a page whose rows have so many texts and weigh so much without; ``None`` if it has none."""
        if page.max_bytes is None:
            return None
        size = min(page.size, max(page.max_bytes // bare, 1))
        return cls(size, page.max_bytes // (size * max(texts, 1)), page.max_bytes, bare)

    def fitted(self, rows: Sequence[Any]) -> tuple[int, Sequence[Any] | None]:
        """Count the rows that fit among those that were read at first, and return these too if they are whole."""
        weights = [row[-1] for row in rows]
        # Mostly all fit, and one look at all of them tells.
        count = len(rows) if sum(weights) <= self.most else fitting(weights, self.most)
        if rows and max(weights[:count]) - self.bare > self.longest:
            return count, None
        return count, [row[:-1] for row in rows[:count]]


class Listing:
    """A list by ``order``, upwards and downwards, and how many rows it has; ``names`` are the parameters of ``found`` after ``a``."""

    def __init__(self, found: Select[Any], *order: Column[Any], names: Sequence[str]) -> None:
        columns = list(found.selected_columns)
        self._texts, self._bare = len(texts_of(columns)), bare_weight(columns)
        orders = {False: order, True: tuple(column.desc() for column in order)}
        names, bounds = ("a", *names), ("limit", "offset")
        page = found.limit(_count("limit")).offset(_count("offset"))
        outline = _outlined(page, columns)
        self.count = _prepared(found.with_only_columns(func.count()), *names)
        self._pages = {key: _prepared(page.order_by(*order), *names, *bounds) for key, order in orders.items()}
        self._outlines = {key: _prepared(outline.order_by(*order), *names, *bounds, "longest") for key, order in orders.items()}

    def read(self, connection: Connection, page: Page, *values: Any) -> tuple[Sequence[Any], int]:
        """Read the rows of a page, as the driver gives them, and count all; ``values`` are those of the parameters."""
        bound = Bound.of(page, self._texts, self._bare)
        whole = self._pages[page.descending]
        if bound is None or not self._texts:
            rows = whole.of(connection, [()], *values, page.size if bound is None else bound.size, page.index)
        else:
            rows = self._outlines[page.descending].of(connection, [()], *values, bound.size, page.index, bound.longest)
        counted, found = run(connection, [self.count.of(connection, [()], *values), rows])
        total: int = counted[0][0]
        if bound is None or not self._texts:
            return found, total
        count, fitted = bound.fitted(found)
        return whole.found(connection, *values, count, page.index) if fitted is None else fitted, total


def _outlined(found: Select[Any], columns: Sequence[Any]) -> Select[Any]:
    """Select what is read at first: the columns without texts of more than ``longest`` bytes, and the weight of the row."""
    texts, longest = set(texts_of(columns)), _count("longest")
    short = [case((octets(column) <= longest, column)).label(column.name) if column in texts else column for column in columns]
    return found.with_only_columns(*short, weight(columns).label("weight"))


def _prepared(statement: Select[Any], *names: str) -> CompiledStatement:
    return CompiledStatement(lambda rows: statement, common=names)


def _count(name: str) -> Any:
    return bindparam(name, type_=BigInteger)
