"""Meaning of the errors of databases: come back later, try again, or set it up first."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from conversation_kit.domain.errors import ConfigurationError, ConversationKitError, HookFailed, OutcomeUnknown, StorageUnavailable
from conversation_kit_sql.database.dialects.finding import DIALECTS

log = logging.getLogger("conversation_kit_sql")

UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)

# An error does not say which database it is from, and no two of them mean different things by the same code.
_CODES = [dialect.codes for dialect in DIALECTS.values()]
_CONFLICTS = frozenset[object]().union(*[codes.conflict for codes in _CODES])
_LOCKED = frozenset[object]().union(*[codes.locked for codes in _CODES])
_OUT_OF_TIME = frozenset[object]().union(*[codes.out_of_time for codes in _CODES])
_UNKNOWN = frozenset[object]().union(*[codes.unknown for codes in _CODES])
_READ_ONLY = frozenset[object]().union(*[codes.read_only for codes in _CODES])
_MISSING = frozenset[object]().union(*[codes.missing for codes in _CODES])
_MISSING_WORDS = [words for codes in _CODES for words in codes.missing_words]


def is_broken(error: BaseException | None) -> bool:
    """Tell whether the error is that of a connection that is no more."""
    cause = error.__cause__ if isinstance(error, StorageUnavailable) else error
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def is_conflict(error: BaseException | None) -> bool:
    """Tell whether the transaction was rolled back because of another one, also when that came out only at its commit."""
    cause = error.__cause__ if isinstance(error, StorageUnavailable) else error
    return isinstance(cause, DBAPIError) and _is_one_of(cause, _CONFLICTS)


def is_locked(error: BaseException) -> bool:
    """Tell whether somebody else held a lock for longer than we wait; not on SQLite, where a lock is always that of the whole file."""
    return isinstance(error, DBAPIError) and _is_one_of(error, _LOCKED)


def is_out_of_time(error: BaseException) -> bool:
    """Tell whether a statement took longer than it was given."""
    return isinstance(error, DBAPIError) and _is_one_of(error, _OUT_OF_TIME)


def unknown_outcome(error: BaseException) -> OutcomeUnknown | None:
    """Return the error to tell when a commit met ``error``; ``None`` if it says that nothing was committed.

    SQLite calls a commit that could not be synchronised undone, and yet its frames may be found after a crash.
    """
    if not isinstance(error, DBAPIError):
        return None
    failed_disk = getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_IOERR")
    if not (error.connection_invalidated or failed_disk or _is_one_of(error, _UNKNOWN)):
        return None
    return OutcomeUnknown(f"The database was lost while it committed ({cause(error)}): nobody knows whether it is stored.")


def unavailable() -> AbstractContextManager[None]:
    """Turn what a database says when it cannot answer now into ``StorageUnavailable``, and missing tables into ``ConfigurationError``."""
    return _TRANSLATION


class _Translation:
    """The block of ``unavailable``. Nothing is made for it, because each read and each write has one."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, type: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, UNAVAILABLE):
            _raise_missing(error)
            told = f"The database cannot answer now ({cause(error)}): see whether it runs, is locked, or is full."
            raise StorageUnavailable(told) from error
        if isinstance(error, DBAPIError):
            _raise_missing(error)
            if error.connection_invalidated:
                raise StorageUnavailable(f"The connection to the database broke ({cause(error)}): see whether it runs.") from error
            if _is_one_of(error, _READ_ONLY):
                raise StorageUnavailable(f"The database takes no writes now ({cause(error)}): see which server is the primary.") from error


_TRANSLATION = _Translation()


def refused(error: DBAPIError) -> HookFailed:
    """Return the error to tell when the database refuses what the host's code has written; the host reads the reason in its log."""
    log.error("The database refused what the host's code wrote; the command is undone.", exc_info=error)
    return HookFailed("The database of this server refused what a hook wrote, so the request was not carried out.")


def to_tell(error: Exception, *, committing: bool) -> Exception:
    """Return the error to tell when ``error`` ended a write; with ``committing`` it was the commit that met it."""
    if committing and (unknown := unknown_outcome(error)) is not None:
        unknown.__cause__ = error
        return unknown
    if isinstance(error, ConversationKitError):
        return error
    try:
        with unavailable():
            raise error
    except DBAPIError as told:
        # The kit has no constraints that are checked at the commit, but the host may.
        return refused(told) if committing else told
    except Exception as told:
        return told


def _raise_missing(error: Exception) -> None:
    if not isinstance(error, DBAPIError):
        return
    told = cause(error)
    if _is_one_of(error, _MISSING) or any(words in told for words in _MISSING_WORDS):
        raise ConfigurationError(
            f"The database lacks a table or a column of the kit's ({told}): run `conversation-kit migrate`, or `await kit.migrate()`."
        ) from error


def _is_one_of(error: DBAPIError, known: frozenset[object]) -> bool:
    """Tell whether the database calls the error by one of these: an SQLSTATE, or a number of MySQL's, of which some drivers tell both."""
    cause: Any = error.orig
    number = (getattr(cause, "args", None) or (None,))[0]
    return getattr(cause, "sqlstate", None) in known or (isinstance(number, int) and number in known)


def cause(error: Exception) -> str:
    """Return the first line of the database's own message."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
