"""Machinery that makes the storage fast, each part of it with a counterpart that does without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from conversation_kit_sql.database.compiled import fastest, plain
from conversation_kit_sql.queries.page_cache import NoPageCache, PageCache
from conversation_kit_sql.workers.executor import ALONE, Grouping


@dataclass(frozen=True, slots=True)
class Machinery:
    """Parts that change how fast the storage is, and nothing else."""

    grouping: Grouping
    """Number of reads and of writes that go together."""
    prepare: Callable[[Connection], Connection]
    """Gives a connection the way in which its statements are run."""
    remembers_scenes: bool
    """True if a group of writes goes without looking up again what the last one saw, where the database lets it."""
    make_page_cache: Callable[[], PageCache]


FAST = Machinery(Grouping(), fastest, True, PageCache)
PLAIN = Machinery(ALONE, plain, False, NoPageCache)
