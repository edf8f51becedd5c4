"""The tables in partitions, made by the statements of docs/scaling.md."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psycopg
import pytest

from conversation_kit import Storage
from conversation_kit.testing.storage.guarantees.races import RacesContract
from conversation_kit.testing.storage.nouns.paging import PagingContract
from conversation_kit_sql import SQLStorage
from tests.support.databases import fresh

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"


class TestPartitions(PagingContract, RacesContract):
    """Two parts of the contract, of those that go through all tables; that the others pass was tried once."""

    url = ""

    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Path) -> Iterator[None]:
        with fresh("postgresql", tmp_path) as self.url:
            anyio.run(self.make_tables)
            blocks: list[str] = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
            with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
                for block in blocks:
                    connection.execute(block.encode())
                for noun in ("event", "receipt", "member"):
                    leaves = f"SELECT count(*) FROM pg_partition_tree('conversation_kit_{noun}') WHERE isleaf"
                    assert connection.execute(leaves.encode()).fetchone() == (8,)
            yield

    async def make_tables(self) -> None:
        storage = SQLStorage(self.url)
        await storage.open()
        await storage.close()

    @asynccontextmanager
    async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
        yield SQLStorage(self.url, create_schema=False)
