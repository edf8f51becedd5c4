from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.transactions.host import ASYNC, WAYS, Shop, open_shop
from tests.support.databases import SQL


@pytest.fixture(params=WAYS, ids="-".join)
async def any_shop(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Shop]:
    """On each database, with each kind of session and connection."""
    database, way = request.param
    if anyio_backend == "trio" and way in ASYNC:
        pytest.skip("SQLAlchemy's async engines are for asyncio")
    async with open_shop(database, tmp_path, way) as shop:
        yield shop


@pytest.fixture(params=SQL)
async def shop(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Shop]:
    """On each database, with a sync session."""
    async with open_shop(request.param, tmp_path) as shop:
        yield shop
