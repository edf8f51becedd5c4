"""Statements of the hot paths, compiled once and run by the driver's own cursor.

SQLAlchemy spends more time on an execution and on its rows than SQLite does on the work; so what happens for every message goes past it.
Parameters and rows are the database's own values: milliseconds for instants, text for JSON, words for enumerations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, SelectBase, bindparam, select, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import ClauseElement

Compiled: TypeAlias = tuple[str, tuple[str, ...] | None]
"""A statement in a database's own words, and the names of its parameters in their order, or ``None`` where they go by name."""


class Prepared:
    """A statement with parameters by name; those in ``lists`` are lists that are not empty, to be searched for with ``IN``.

    A list is filled up to the next power of two with its last value, so that few different statements come about and a database that keeps
    plans finds them again.
    """

    __slots__ = ("_compiled", "_lists", "_statement")

    def __init__(self, statement: ClauseElement, *lists: str) -> None:
        self._statement = statement
        self._lists = lists
        self._compiled: dict[tuple[Any, ...], Compiled] = {}

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The rows as tuples. Raises the ``DBAPIError`` that SQLAlchemy would."""
        if self._lists:
            lists = {name: _filled(parameters[name]) for name in self._lists}
            text, names = self._text(connection, lists)
            parameters = {**parameters, **{f"{name}_{n}": value for name, values in lists.items() for n, value in enumerate(values, 1)}}
        else:
            text, names = self._text(connection, {})
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, parameters if names is None else [parameters[name] for name in names])
            found = cursor.fetchall()
            cursor.close()
        except Exception as error:
            raise translated(connection, error, text, cursor) from error
        return found

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> None:
        """Carry it out; it has no lists. Raises the ``DBAPIError`` that SQLAlchemy would."""
        text, names = self._text(connection, {})
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, parameters if names is None else [parameters[name] for name in names])
            cursor.close()
        except Exception as error:
            raise translated(connection, error, text, cursor) from error

    def _text(self, connection: Connection, lists: Mapping[str, Sequence[Any]]) -> Compiled:
        dialect = connection.dialect
        key = (dialect.name, dialect.driver, *[len(values) for values in lists.values()])
        compiled = self._compiled.get(key)
        if compiled is None:
            made: Any = self._statement.compile(dialect=dialect)
            if isinstance(self._statement, SelectBase):
                # The lists are written out only where there are values, whichever they are.
                stand_ins = {name: lists.get(name) for parameter, name in made.bind_names.items() if parameter.required}
                statement = self._statement.params(stand_ins)
                made = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
            compiled = self._compiled[key] = (str(made), None if made.positiontup is None else tuple(made.positiontup))
        return compiled


class PreparedRows:
    """A statement that writes or looks up many rows at once, made by ``make`` for a number of them; parameters are ``<name>_<row>``.

    Not the driver's ``executemany``: SQLite's lets the event loop have the interpreter back after every row, and others take a round trip
    for each.
    """

    __slots__ = ("_make", "_names", "_prepared")

    def __init__(self, make: Callable[[int], ClauseElement], *names: str, most: int) -> None:
        """At most ``most`` rows, a power of two, go into one statement."""
        self._make = make
        self._names = names
        sizes = (1 << power for power in range(most.bit_length() - 1, -1, -1))
        self._prepared: dict[int, Prepared | None] = dict.fromkeys(sizes)

    def run(self, connection: Connection, rows: Sequence[Sequence[Any]], **common: Any) -> None:
        """Write all of ``rows``, whose values stand in the order of the names. Raises the ``DBAPIError`` that SQLAlchemy would."""
        start = 0
        for size in self._prepared:
            while len(rows) - start >= size:
                self._sized(size).run(connection, self._parameters(rows[start : start + size], common))
                start += size

    def search(self, connection: Connection, rows: Sequence[Sequence[Any]], **common: Any) -> list[Any]:
        """What is found for all of ``rows``, some of it more than once. Raises the ``DBAPIError`` that SQLAlchemy would."""
        found: list[Any] = []
        most = next(iter(self._prepared))
        for start in range(0, len(rows), most):
            some = _filled(rows[start : start + most])
            found += self._sized(len(some)).rows(connection, self._parameters(some, common))
        return found

    def _parameters(self, rows: Sequence[Sequence[Any]], common: Mapping[str, Any]) -> dict[str, Any]:
        parameters = dict(common)
        for number, row in enumerate(rows):
            for name, value in zip(self._names, row, strict=True):
                parameters[f"{name}_{number}"] = value
        return parameters

    def _sized(self, size: int) -> Prepared:
        prepared = self._prepared[size]
        if prepared is None:
            prepared = self._prepared[size] = Prepared(self._make(size))
        return prepared


def asked(rows: int, **types: Any) -> Any:
    """A table of parameters, one column for each of ``types`` and so many rows, to join with what is to be found for them.

    A join finds each by its index; of two ``IN`` every value of the one would be looked up with every value of the other.
    """
    selects = [select(*[bindparam(f"{name}_{row}", type_=type).label(name) for name, type in types.items()]) for row in range(rows)]
    return (union_all(*selects) if rows > 1 else selects[0]).subquery("asked")


def _filled(values: Sequence[Any]) -> list[Any]:
    size = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (size - len(values))]


def translated(connection: Connection, error: Exception, statement: str, cursor: Any) -> Exception:
    """What SQLAlchemy would make of a driver's error; a connection that is broken is given up."""
    dialect = connection.dialect
    driver: Any = dialect.dbapi
    if not isinstance(error, driver.Error):
        return error
    broken = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
    made: Any = DBAPIError.instance(
        statement, None, error, driver.Error, hide_parameters=True, connection_invalidated=broken, dialect=dialect
    )
    if broken:
        # As SQLAlchemy does itself: those in the pool are as old, and are dead too.
        connection.engine.pool._invalidate(connection.connection, error)
        connection.invalidate(error)
    told: Exception = made
    return told
