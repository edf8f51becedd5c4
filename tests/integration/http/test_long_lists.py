"""Lists of rows with much JSON in them: pages of at most a megabyte, each row on one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit import MemoryStorage, Page, Storage, User
from conversation_kit.domain.reading import MAX_PAGE, fitting, row_bytes
from conversation_kit.testing.harness.writes import create_user
from conversation_kit_sql import SQLStorage
from tests.support.world import World, make_kit, open_world

URLS = ("memory", "sqlite")
START = datetime(2026, 1, 1, tzinfo=UTC)
LONG = {"note": "x" * 60_000}


def url_of(kind: str, folder: Path) -> str:
    return "memory://" if kind == "memory" else f"sqlite:///{folder / 'chat.db'}"


async def walked(world: World, path: str, key: str) -> tuple[list[str], list[int]]:
    """The ids on all pages, and the number of rows on each."""
    seen: list[str] = []
    sizes: list[int] = []
    next: str | None = path
    while next is not None:
        answer = await world.call("GET", next)
        document = answer.json()
        rows = document if isinstance(document, list) else document["_embedded"]["conversations"]
        seen += [row[key] for row in rows]
        sizes.append(len(rows))
        link = answer.links.get("next", {}).get("url") if isinstance(document, list) else document["_links"].get("next", {}).get("href")
        next = link.partition("/beta")[2] if link else None
    return seen, sizes


@pytest.mark.anyio
@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_list_of_users_goes_on_with_the_one_that_did_not_fit(tmp_path: Path, kind: str, order: str) -> None:
    async with open_world(make_kit(url_of(kind, tmp_path))) as world:
        for number in range(40):
            await world.kit.users.create(f"long-{number}", properties=LONG)
        expected = [user.id async for user in world.kit.users.all()]
        seen, sizes = await walked(world, f"/users?order={order}", "id")
        assert seen == (expected if order == "asc" else expected[::-1])
        assert max(sizes) < 30
        assert len(sizes) < 6


@pytest.mark.anyio
@pytest.mark.parametrize("kind", URLS)
async def test_lists_of_conversations_go_on_with_the_one_that_did_not_fit(tmp_path: Path, kind: str) -> None:
    async with open_world(make_kit(url_of(kind, tmp_path))) as world:
        for number in range(25):
            room = await world.kit.conversations.create(f"long-{number}", properties=LONG, numbers=LONG)
            await world.kit.members.join(room.id, user_name="ana")
        seen, sizes = await walked(world, "/conversations?page_size=100", "uuid")
        assert seen == [room.id async for room in world.kit.conversations.all()]
        assert len(sizes) > 2
        ana = await world.kit.users.named("ana")
        seen, sizes = await walked(world, f"/users/{ana.id}/conversations", "id")
        assert len(seen) == len(set(seen)) == (await world.kit.users.conversations(ana.id)).total
        assert len(sizes) > 2


@pytest.mark.anyio
async def test_the_host_gets_as_many_rows_as_it_asks_for() -> None:
    async with open_world(make_kit()) as world:
        for number in range(40):
            await world.kit.users.create(f"long-{number}", properties=LONG)
        assert len((await world.kit.users.list()).items) > 40
        assert len((await world.kit.users.list(Page(max_bytes=MAX_PAGE))).items) < 30


LISTS = st.lists(st.tuples(st.sampled_from(["x", "я", "☎", "\\", '"']), st.integers(0, 4_000)), max_size=12)


@given(
    lengths=LISTS,
    size=st.integers(1, 15),
    most=st.integers(0, 30_000),
    descending=st.booleans(),
    kind=st.sampled_from(URLS),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_pages_have_each_row_once_and_no_more_than_fits(
    lengths: list[tuple[str, int]], size: int, most: int, descending: bool, kind: str
) -> None:
    async def run() -> None:
        storage: Storage = MemoryStorage() if kind == "memory" else SQLStorage("sqlite://")
        await storage.open()
        try:
            await walk(storage)
        finally:
            await storage.close()

    async def walk(storage: Storage) -> None:
        for number, (text, length) in enumerate(lengths):
            values: dict[str, Any] = {"properties": {"note": text * length}}
            await create_user(storage, User("app", f"USR-{number:02}", f"user-{number}", START + timedelta(seconds=number), **values))
        expected = list((await storage.list_users("app", Page(descending=descending))).items)
        seen: list[User] = []
        while len(seen) < len(expected):
            found = await storage.list_users("app", Page(size, len(seen), descending, max_bytes=most))
            assert found.items
            assert len(found.items) == fitting(map(row_bytes, expected[len(seen) :][:size]), most)
            seen += found.items
        assert seen == expected

    anyio.run(run)
