"""What the errors of databases mean: come back later, try again, or set it up first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from conversation_kit.domain.errors import ConfigurationError, StorageUnavailable

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)

_CONFLICTS = frozenset({"40001", "40P01", "26000", 1213, 1020})
"""Two transactions that cannot be put in a row, or that wait for each other: PostgreSQL and its kin, then MySQL and MariaDB.

And a connection that has forgotten a prepared statement, as psycopg makes it do when a transaction is rolled back.
"""

_HELD = frozenset({"55P03", 1205, 3572})
"""A lock was not to be had in time."""

_READ_ONLY = frozenset({"25006"})
"""The server takes no writes now, as a standby before it is promoted. MySQL says so with an operational error anyway."""

_MISSING = frozenset({"42P01", "42703", "3F000", 1146, 1054})
"""No such table, column or schema."""

_MISSING_IN_SQLITE = ("no such table", "no such column", "has no column named")


def is_broken(error: BaseException | None) -> bool:
    """Whether the error is that of a connection that is no more."""
    cause = error.__cause__ if isinstance(error, StorageUnavailable) else error
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def is_conflict(error: BaseException | None) -> bool:
    """Whether the transaction was rolled back because of another one, also when that came out only at its commit."""
    cause = error.__cause__ if isinstance(error, StorageUnavailable) else error
    return isinstance(cause, DBAPIError) and _is_one_of(cause, _CONFLICTS)


def is_held(error: BaseException) -> bool:
    """Whether somebody else held a lock for longer than we wait; not on SQLite, where a lock is always that of the whole file."""
    return isinstance(error, DBAPIError) and _is_one_of(error, _HELD)


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn what a database says when it cannot answer now into ``StorageUnavailable``, and missing tables into ``ConfigurationError``."""
    try:
        yield
    except UNAVAILABLE as error:
        _raise_missing(error)
        raise StorageUnavailable(
            f"The database cannot answer now ({_cause(error)}): see whether it runs, is locked, or is full."
        ) from error
    except DBAPIError as error:
        _raise_missing(error)
        if error.connection_invalidated:
            raise StorageUnavailable(f"The connection to the database broke ({_cause(error)}): see whether it runs.") from error
        if _is_one_of(error, _READ_ONLY):
            raise StorageUnavailable(f"The database takes no writes now ({_cause(error)}): see which server is the primary.") from error
        raise


def _raise_missing(error: Exception) -> None:
    if not isinstance(error, DBAPIError):
        return
    told = _cause(error)
    if _is_one_of(error, _MISSING) or any(words in told for words in _MISSING_IN_SQLITE):
        raise ConfigurationError(
            f"The database lacks a table or a column of the kit's ({told}): run `conversation-kit migrate`, or `await kit.migrate()`."
        ) from error


def _is_one_of(error: DBAPIError, known: frozenset[Any]) -> bool:
    """Whether the database calls the error by one of these: an SQLSTATE, or a number of MySQL's, of which some drivers tell both."""
    cause: Any = error.orig
    number = (getattr(cause, "args", None) or (None,))[0]
    return getattr(cause, "sqlstate", None) in known or (isinstance(number, int) and number in known)


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
