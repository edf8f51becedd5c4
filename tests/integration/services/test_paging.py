"""Pages put together are the whole list, whatever their size, on every storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation_kit import EventRange, Page
from conversation_kit.testing import FakeClock
from tests.support.world import World, make_kit, open_world

QUIET = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
COUNT = 23


@dataclass
class Lists:
    """A world with 23 conversations, made one second after the other, and 23 events in the first."""

    world: World
    start: datetime
    ids: list[str]


@asynccontextmanager
async def open_lists(url: str) -> AsyncIterator[Lists]:
    clock = FakeClock()
    kit, start = make_kit(url, clock=clock), clock()
    async with open_world(kit, populate=False) as world:
        ids: list[str] = []
        for _ in range(COUNT):
            ids.append((await kit.conversations.create()).id)
            clock.advance(1)
        for _ in range(COUNT):
            await kit.events.create(ids[0], "custom:x")
        yield Lists(world, start, ids)


@pytest.fixture(scope="module", params=["memory://", "sqlite:///{folder}/chat.db"])
def lists(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("paging")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_lists(request.param.format(folder=folder))) as opened:
        yield portal, opened


@QUIET
@given(size=st.integers(1, 100), descending=st.booleans(), first=st.integers(-3, COUNT + 3), last=st.integers(-3, COUNT + 3))
def test_pages_of_conversations_are_the_slice_between_the_dates(lists: Any, size: int, descending: bool, first: int, last: int) -> None:
    portal, opened = lists
    start, end = opened.start + timedelta(seconds=first), opened.start + timedelta(seconds=last)
    expected = [id for second, id in enumerate(opened.ids) if first <= second < last]
    if descending:
        expected.reverse()

    async def walk() -> list[str]:
        found: list[str] = []
        while True:
            page = Page(size, len(found), descending, start, end)
            rows = await opened.world.kit.conversations.list(page)
            assert rows.total == len(expected)
            if not rows.items:
                return found
            found += [conversation.id for conversation in rows.items]

    assert portal.call(walk) == expected


@QUIET
@given(
    size=st.integers(1, 100),
    index=st.integers(0, COUNT + 3),
    descending=st.booleans(),
    first=st.none() | st.integers(0, COUNT + 3),
    last=st.none() | st.integers(0, COUNT + 3),
)
def test_a_page_of_events_is_that_part_of_the_log(
    lists: Any, size: int, index: int, descending: bool, first: int | None, last: int | None
) -> None:
    portal, opened = lists
    low, high = max(first or 1, 1), COUNT if last is None else min(last, COUNT)
    expected = list(range(low, high + 1))
    if descending:
        expected.reverse()

    async def read() -> list[int | None]:
        events = await opened.world.kit.events.list(opened.ids[0], EventRange(size, index, descending, first, last))
        return [event.id for event in events]

    assert portal.call(read) == expected[index : index + size]


@QUIET
@given(size=st.integers(1, 100), order=st.sampled_from(["asc", "desc"]))
def test_following_the_links_visits_everything_once(lists: Any, size: int, order: str) -> None:
    portal, opened = lists

    async def follow() -> list[str]:
        found: list[str] = []
        path = f"/conversations?page_size={size}&order={order}"
        while path:
            page = await opened.world.json("GET", path)
            found += [row["uuid"] for row in page["_embedded"]["conversations"]]
            path = page["_links"].get("next", {}).get("href", "").removeprefix("http://host.test/beta")
        return found

    assert portal.call(follow) == (opened.ids if order == "asc" else opened.ids[::-1])
