"""Questions to which databases have different answers, with those of a database that nobody has tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, Connection, String, Table, Text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

READERS = 8
"""Number of reads that may be under way at once where they go side by side."""


@dataclass(frozen=True, slots=True)
class ErrorCodes:
    """Errors by what they mean: SQLSTATEs, numbers, or words of the message where there is neither."""

    conflict: frozenset[str | int] = frozenset()
    """Two transactions cannot be put in a row, or wait for each other: worth another try."""
    locked: frozenset[str | int] = frozenset()
    """A lock was not to be had in time."""
    out_of_time: frozenset[str | int] = frozenset()
    """A statement took longer than it was given."""
    unknown: frozenset[str | int] = frozenset()
    """The server cannot tell how a commit has ended."""
    read_only: frozenset[str | int] = frozenset()
    """The server takes no writes now."""
    missing: frozenset[str | int] = frozenset()
    """There is no such table, column or schema."""
    missing_words: tuple[str, ...] = ()
    """Words for the same."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of an engine of our own."""

    options: Mapping[str, Any]
    """Keyword arguments of ``create_engine``."""
    connected: tuple[Callable[[Any, Any], None], ...] = ()
    """Listeners for each connection that was made."""
    connecting: tuple[Callable[[Any, Any, list[Any], dict[str, Any]], None], ...] = ()
    """Listeners for each connection that is about to be made."""
    without: tuple[str, ...] = field(default=())
    """Options that the URL may not have, because ``options`` has others."""


class Dialect:
    """Answers of one database. It holds no state; find it with ``dialect_of``.

    Constants are for questions whose answer is a word or a yes, methods for those whose answer is something to do.
    """

    name = "other"
    """SQLAlchemy's name of the database."""

    codes = ErrorCodes()
    """Its errors."""

    locks_rows = True
    """True if a transaction locks rows; else the one that writes has the whole database."""

    is_embedded = False
    """True if the data are in memory or a file of this machine, which the driver itself reads and writes: there is no server."""

    driver_begins = True
    """True if the driver begins transactions in time; else the kit begins them."""

    begin_write: str | None = None
    """Statement that begins a transaction that writes, unless the driver does."""

    snapshot: tuple[str, ...] = ("BEGIN ISOLATION LEVEL REPEATABLE READ",)
    """Statements that begin a transaction that sees one instant."""

    commit_counter: str | None = None
    """Query for a number that changes when another connection commits."""

    checkpoint: str | None = None
    """Statement that is run now and then after writes, outside of a transaction."""

    readers = READERS
    """Number of reads that may be under way at once."""

    joins_texts = False
    """True if the database joins texts of any length in the order of a subquery."""

    least, greatest = "least", "greatest"
    """Functions for the smallest and the greatest of several values."""

    octet_length = "octet_length({})"
    """Number of bytes that a text has in UTF-8."""

    clock: str | None = None
    """Milliseconds since 1970 by the clock of the server; ``None`` if there is no server."""

    index_hint: str | None = None
    """Hint that makes a query use an index, with its name left open."""

    def characters(self, length: int) -> TypeEngine[Any]:
        """Return the type of a text of at most so many characters, compared by its code points. Released revisions use it too."""
        return String(length)

    def long_text(self) -> TypeEngine[Any]:
        """Return the type of a text of any length. Released revisions use it too."""
        return Text()

    def engine_options(self, url: URL, busy_seconds: float) -> EngineOptions:
        """Return how an engine is made whose statements wait at most ``busy_seconds`` for a lock."""
        return EngineOptions({"pool_size": READERS + 1})

    def check_encoding(self, connection: Connection) -> None:
        """See that every text comes through this connection and back. Raises ``ConfigurationError``."""

    def pipeline(self, connection: Connection) -> Any:
        """Return the pipeline of the driver's connection, which keeps it for as long as it lives; ``None`` if it can have none."""
        return None

    def hurried(self, connection: Connection, seconds: float) -> AbstractContextManager[None]:
        """Let the statements of the block, in a transaction, queue for a lock for about so long."""
        return nullcontext()

    def queueing(self, connection: Connection, seconds: float) -> str:
        """Let the next statement queue for a lock for so long, or return the words with which it has to begin for that."""
        return ""

    @contextmanager
    def alone(self, connection: Connection, *key: str | None) -> Iterator[None]:
        """Hold the lock called by ``key`` until the transaction ends, or else the block. Raises ``StorageUnavailable``."""
        yield

    def see_latest(self, connection: Connection) -> None:
        """Let each statement of a transaction that has just begun see what is committed by then."""

    def check_isolation(self, connection: Connection) -> None:
        """See that a host's transaction sees what it locks. Raises ``ConfigurationError``."""

    def commits_by_itself(self, connection: Connection) -> bool:
        """Tell whether each statement of a host's connection is committed as it is."""
        # The driver itself is asked: SQLAlchemy's `detect_autocommit_setting` is there from 2.0.43 on.
        driver: Any = connection.connection.dbapi_connection
        if hasattr(driver, "get_autocommit"):
            return bool(driver.get_autocommit())
        if hasattr(driver, "autocommit"):
            return bool(driver.autocommit)
        return connection.get_isolation_level() == "AUTOCOMMIT"

    def become_writer(self, connection: Connection, table: Table) -> None:
        """Begin to write in a host's transaction, where a database has to be told. ``table`` is one that the kit may write to."""

    def advice(self, error: DBAPIError, told: str, url: URL) -> str | None:
        """Return a sentence on what to set right when opening ended with this error; ``None`` if time may mend it."""
        return None
