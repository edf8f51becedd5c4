"""Statements of the hot paths, compiled once and run by the driver's own cursor, or by its pipeline where it has one.

SQLAlchemy spends more time on an execution and on its rows than SQLite does on the work; so what happens for every message goes past it.
Parameters and rows are the database's own values: milliseconds for instants, text for JSON, words for enumerations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, SelectBase, bindparam, select, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import ClauseElement

from conversation_kit_sql.database.dialects.finding import dialect_of
from conversation_kit_sql.database.errors import is_broken

RUNNER = "conversation_kit_runner"
"""The execution option of connections whose statements the driver's cursor does not run: a ``Runner``."""

Statement: TypeAlias = tuple[str, Any]
"""A statement in a database's own words with its parameters."""

Bind: TypeAlias = Callable[[Sequence[Any]], Any]
"""Makes parameters as the driver takes them, of values in the order of their names."""


class CompiledStatement:
    """A statement that looks up or writes many rows at once, made by ``make`` for a number of them.

    Parameters are ``<name>_<row>``, and those in ``common`` are the same for all rows. At most ``most`` rows, a power of two, go into one
    statement. Not the driver's ``executemany``: SQLite's lets the event loop have the interpreter back after every row, and others take a
    round trip for each.
    """

    __slots__ = ("_bound", "_common", "_make", "_most", "_names")

    def __init__(self, make: Callable[[int], ClauseElement], *names: str, common: Sequence[str] = ("a",), most: int = 64) -> None:
        self._make = make
        self._names = names
        self._common = common
        self._most = most
        self._bound: dict[tuple[Any, ...], tuple[str, Bind]] = {}

    def bind_exact(self, connection: Connection, rows: Sequence[Sequence[Any]], *common: Any) -> list[Statement]:
        """Return statements that take each row once."""
        statements = []
        start = 0
        while start < len(rows):
            size = min(self._most, 1 << ((len(rows) - start).bit_length() - 1))
            statements.append(self.of(connection, rows[start : start + size], *common))
            start += size
        return statements

    def bind_padded(self, connection: Connection, rows: Sequence[Sequence[Any]], *common: Any) -> list[Statement]:
        """Return fewer statements, which take some rows more than once: so there are few different ones, whose plans a database keeps."""
        statements = []
        for start in range(0, len(rows), self._most):
            some = rows[start : start + self._most]
            size = 1 << (len(some) - 1).bit_length()
            statements.append(self.of(connection, [*some, *[some[-1]] * (size - len(some))], *common))
        return statements

    def of(self, connection: Connection, rows: Sequence[Sequence[Any]], *common: Any) -> Statement:
        """Return one statement for so many rows."""
        dialect = connection.dialect
        numbered = connection.get_execution_options().get(RUNNER, _CURSORS).is_numbered
        key = (type(dialect), numbered, len(rows))
        found = self._bound.get(key)
        if found is None:
            names = [*self._common, *[f"{name}_{row}" for row in range(len(rows)) for name in self._names]]
            found = self._bound[key] = _compiled(self._make(len(rows)), names, _numbered(dialect) if numbered else dialect)
        text, bind = found
        return text, bind([*common, *chain.from_iterable(rows)])

    def found(self, connection: Connection, *common: Any) -> Sequence[Any]:
        """Return the rows of a statement all of whose parameters are ``common``. Raises the ``DBAPIError`` that SQLAlchemy would."""
        return run(connection, [self.of(connection, [()], *common)])[0]

    def rows(self, connection: Connection, rows: Sequence[Sequence[Any]], *common: Any) -> list[Any]:
        """Return the rows found for all of ``rows``, some of them more than once. Raises the ``DBAPIError`` that SQLAlchemy would."""
        return [row for found in run(connection, self.bind_padded(connection, rows, *common)) for row in found]


def run(connection: Connection, statements: Sequence[Statement], in_doubt: Callable[[], None] | None = None) -> list[Sequence[Any]]:
    """Run statements in their order, in one round trip where the driver can, and return the rows of each as tuples.

    With ``in_doubt`` they are the last of their transaction and may commit it. It is called when the commit itself fails, or the connection
    breaks meanwhile: nobody knows then whether that happened.

    Raises the ``DBAPIError`` that SQLAlchemy would; unless the connection is broken, nothing is
    committed.
    """
    if not statements:
        return []
    runner: Runner = connection.get_execution_options().get(RUNNER, _CURSORS)
    return runner.run(connection, statements, in_doubt)


class Runner(ABC):
    """Way to run statements over a connection."""

    is_numbered = False
    """True if parameters are written like ``$1`` and not as the driver has them."""

    @abstractmethod
    def run(self, connection: Connection, statements: Sequence[Statement], in_doubt: Callable[[], None] | None) -> list[Sequence[Any]]:
        """See the function ``run``."""


class CursorRunner(Runner):
    """The driver's own cursor, without SQLAlchemy. It leaves the commit to others."""

    def run(self, connection: Connection, statements: Sequence[Statement], in_doubt: Callable[[], None] | None) -> list[Sequence[Any]]:
        """Run one after the other."""
        found: list[Sequence[Any]] = []
        cursor = connection.connection.cursor()
        for text, parameters in statements:
            try:
                cursor.execute(text, parameters)
                found.append(cursor.fetchall() if cursor.description else ())
            except Exception as error:
                raise translated(connection, error, text, cursor) from error
        cursor.close()
        return found


class PipelineRunner(Runner):
    """Pipeline of the driver's connection: all in one round trip, and the commit with them."""

    is_numbered = True

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def run(self, connection: Connection, statements: Sequence[Statement], in_doubt: Callable[[], None] | None) -> list[Sequence[Any]]:
        """Run all at once; with ``in_doubt`` the transaction is committed."""
        try:
            found: list[Sequence[Any]] = self._pipeline.run(statements, commit=in_doubt is not None)
        except Exception as error:
            told = translated(connection, error, statements[0][0], None)
            if in_doubt is not None and (self._pipeline.failed_to_commit or is_broken(told)):
                in_doubt()
            raise told from error
        return found


class PlainRunner(Runner):
    """SQLAlchemy itself, so that listeners of the engine hear of every statement. It leaves the commit to others."""

    def run(self, connection: Connection, statements: Sequence[Statement], in_doubt: Callable[[], None] | None) -> list[Sequence[Any]]:
        """Run one after the other."""
        found: list[Sequence[Any]] = []
        for text, parameters in statements:
            # A list would be many rows for it.
            result = connection.exec_driver_sql(text, tuple(parameters) if isinstance(parameters, list) else parameters)
            found.append([tuple(row) for row in result] if result.returns_rows else ())
        return found


_CURSORS = CursorRunner()
_PLAIN = PlainRunner()


def fastest(connection: Connection) -> Connection:
    """Return the connection with the fastest runner that its driver has."""
    pipeline = dialect_of(connection).pipeline(connection)
    return connection if pipeline is None else connection.execution_options(**{RUNNER: PipelineRunner(pipeline)})


def plain(connection: Connection) -> Connection:
    """Return the connection with SQLAlchemy itself as its runner."""
    return connection.execution_options(**{RUNNER: _PLAIN})


def _compiled(statement: Any, names: Sequence[str], dialect: Dialect) -> tuple[str, Bind]:
    made: Any = statement.compile(dialect=dialect)
    if isinstance(statement, SelectBase):
        # Literals are written out only where there are values, whichever they are.
        stand_ins = {name: None for parameter, name in made.bind_names.items() if parameter.required}
        made = statement.params(stand_ins).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    if made.positiontup is None:
        return str(made), lambda values: dict(zip(names, values, strict=True))
    places = [names.index(name) for name in made.positiontup]
    if places == list(range(len(names))):
        return str(made), _as_they_are
    return str(made), itemgetter(*places)


def _as_they_are(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _numbered(dialect: Dialect) -> Dialect:
    """Return the same dialect with parameters like ``$1``, which go to the server as they are."""
    make: Any = type(dialect)
    numbered: Dialect = make(paramstyle="numeric_dollar")
    return numbered


def fixed(value: Any, type: Any = None) -> Any:
    """Return a value that is part of the statement's own words and no parameter."""
    return bindparam(None, value, type_=type, unique=True, literal_execute=True)


def asked(rows: int, **types: Any) -> Any:
    """Return a table of parameters: a column for each of ``types`` and so many rows, to join with what is to be found for them.

    A join finds each by its index; of two ``IN`` every value of the one would be looked up with every value of the other.
    """
    selects = [select(*[bindparam(f"{name}_{row}", type_=type).label(name) for name, type in types.items()]) for row in range(rows)]
    return (union_all(*selects) if rows > 1 else selects[0]).subquery("asked")


def translated(connection: Connection, error: Exception, statement: str, cursor: Any) -> Exception:
    """Return the error that SQLAlchemy would make of a driver's; give up a connection that is broken."""
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
