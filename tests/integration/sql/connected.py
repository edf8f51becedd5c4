"""Databases of a storage, as others see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from conversation_kit_sql import SQLStorage

PREFIX = "conversation_kit_"


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A transaction, over a connection that is closed afterwards."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        yield connection


async def opened_and_closed(url: str, *, prefix: str = PREFIX, schema: str | None = None, create_schema: bool = True) -> None:
    storage = SQLStorage(url, prefix=prefix, schema=schema, create_schema=create_schema)
    await storage.open()
    await storage.close()
