"""What tests look at behind the public face of ``SQLStorage``; the names of it are known here only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import anyio
from sqlalchemy import Connection, Engine

from conversation_kit import ConversationKit
from conversation_kit_sql import PostgresBroker, SQLStorage
from conversation_kit_sql.changes.group_commit import Commits
from conversation_kit_sql.changes.locked import Row
from conversation_kit_sql.changes.removals import Rows
from conversation_kit_sql.database import sharing
from conversation_kit_sql.database.database import Database
from conversation_kit_sql.queries.page_cache import PageCache
from conversation_kit_sql.queries.statements import Statements


def sql_storage_of(kit: ConversationKit) -> SQLStorage:
    """The storage of a kit that has a database."""
    assert isinstance(kit.storage, SQLStorage)
    return kit.storage


def database_of(storage: SQLStorage) -> Database:
    """The database of a storage that is open."""
    assert storage._database is not None
    return storage._database


def engine_of(storage: SQLStorage) -> Engine:
    """The engine of a storage that is open."""
    return database_of(storage).engine


def statements_of(storage: SQLStorage) -> Statements:
    """The statements on its tables."""
    return storage._statements


def commits_of(storage: SQLStorage) -> Commits:
    """What decides which writes go together, and what it remembers."""
    return storage._commits


def driver_connection_of(storage: SQLStorage) -> Any:
    """The driver's connection that an SQLite file is written over."""
    kept = database_of(storage)._kept
    assert kept is not None
    return kept.connection.driver_connection


def rows_known_as_held(storage: SQLStorage) -> MutableMapping[Row, float]:
    """The rows that somebody else is known to hold, and until when that is believed."""
    return storage._commits.locked.trusted


def is_nothing_remembered(storage: SQLStorage) -> bool:
    """Whether no scene is kept from the last write."""
    return not database_of(storage).note


@contextmanager
def writes_held(storage: SQLStorage) -> Iterator[None]:
    """Keep the storage from writing during the block: what is asked for meanwhile goes together afterwards."""
    with database_of(storage).writer:
        yield


async def until_write_begun(storage: SQLStorage) -> None:
    """Until the thread that writes has taken what there is to write."""
    await anyio.wait_all_tasks_blocked()
    writes = storage._run.writes.here()
    with anyio.fail_after(30):
        while not writes._working:  # noqa: ASYNC110 (threads do not tell what they are at)
            await anyio.sleep(0.001)
    assert writes.load() == 1


def commits_that_wait(storage: SQLStorage) -> tuple[threading.Event, threading.Event]:
    """Let all commits wait from now on. The first event is set when one begins, the second one lets them go on."""
    queue, begun, go = storage._run.writes.here(), threading.Event(), threading.Event()
    commit = queue._work

    def wait(batch: Any) -> None:
        begun.set()
        go.wait(30)
        commit(batch)

    queue._work = wait
    return begun, go


async def on_writer(storage: SQLStorage, work: Callable[[Connection, Statements], Any]) -> Any:
    """Carry this out on the connection that writes."""
    return await storage._write(work)


def remove_at_once(storage: SQLStorage, rows: int) -> None:
    """Let so many rows of what is deleted be removed in one step."""
    storage._removals._most = rows


def removing(storage: SQLStorage) -> Rows:
    """What removes rows of what is deleted."""
    return storage._removals._rows


def spare_time_of(storage: SQLStorage) -> Callable[[], bool]:
    """What the thread that writes does while there is nothing to write."""
    return storage._removals.step


def size_of(cache: PageCache) -> int:
    """Room that the remembered pages take."""
    return cache._size


def files_recorded() -> int:
    """How many open SQLite files are recorded as used by this process."""
    return len(sharing._here)


def options_of(broker: PostgresBroker) -> dict[str, Any]:
    """What its connections are made with."""
    return broker._options
