"""Lists of rows with much JSON in them: pages that end before their size, and go on with the row that did not fit."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from conversation_kit.domain.models import Block, Exclusion, ExclusionKind, User
from conversation_kit.domain.reading import Page, Slice, fitting, row_bytes
from conversation_kit.domain.scene import Changes
from conversation_kit.testing.harness.harness import APP, Bench, Contract, assert_same
from conversation_kit.testing.harness.writes import add_block

LENGTHS = (1, 1, 1, 50, 900, 4_000, 30_000)
TEXTS = ("x", "я", "☎", "\\")
ROWS = 14


class ListsContract(Contract):
    """``Page.max_bytes`` ends a page where ``fitting`` says, and nowhere else."""

    async def test_pages_of_conversations_end_before_the_row_that_does_not_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            some = Objects()
            rows = [await bench.conversation(numbers=some.next(), properties=some.next()) for _ in range(ROWS)]
            await _walk(rows, lambda page: bench.storage.list_conversations(APP, page, bench.clock()))

    async def test_pages_of_users_end_before_the_row_that_does_not_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            rows = await _users(bench, Objects())
            await _walk(rows, lambda page: bench.storage.list_users(APP, page))

    async def test_pages_of_members_end_before_the_row_that_does_not_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, some = await bench.conversation(), Objects()
            rows = [
                await bench.member(room, user, channel=some.next(), initiator=some.next(), media=some.chance.choice((None, some.next())))
                for user in await _users(bench)
            ]
            await _walk(rows, lambda page: bench.storage.list_members(bench.access(), room.id, page))

    async def test_pages_of_memberships_end_before_the_row_that_does_not_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            user, some = await bench.user(), Objects()
            rows = []
            for _ in range(ROWS):
                room = await bench.conversation(properties=some.next())
                member = await bench.member(room, user, media=some.next())
                rows.append((await bench.stored(room), member))
            await _walk(rows, lambda page: bench.storage.list_memberships(APP, user.id, page, bench.clock()))

    async def test_pages_of_legs_end_before_the_row_that_does_not_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            some = Objects()
            rows = [await bench.leg(sender=some.next(), to=some.next(), history=(some.next(), some.next())) for _ in range(ROWS)]
            await _walk(rows, lambda page: bench.storage.list_legs(APP, page))

    async def test_pages_of_exclusions_and_of_blocks_end_before_the_row_that_does_not_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, (ana, *others) = await bench.conversation(), await _users(bench)
            blocks = [Block(APP, ana.id, other.id, bench.tick()) for other in others]
            for block in blocks:
                await add_block(bench.storage, block, ROWS)
            exclusions = [Exclusion(APP, room.id, other.id, ExclusionKind.BANNED, bench.tick()) for other in others]
            await bench.commit(room.id, Changes(None, exclusions=exclusions))
            await _walk(blocks, lambda page: bench.storage.list_blocks(APP, ana.id, page))
            await _walk(exclusions, lambda page: bench.storage.list_exclusions(bench.access(), room.id, page))


class Objects:
    """JSON objects of all lengths, short ones mostly."""

    def __init__(self) -> None:
        self.chance = random.Random(5)

    def next(self) -> dict[str, Any]:
        """Return another object."""
        text = self.chance.choice(TEXTS)
        return {"type": "app", "note": text * (self.chance.choice(LENGTHS) // len(text.encode()))}


async def _users(bench: Bench, some: Objects | None = None) -> list[User]:
    users = []
    for number in range(ROWS):
        more: dict[str, Any] = {} if some is None else {"channels": some.next(), "properties": some.next()}
        users.append(await bench.user(f"user-{number}", APP, **more))
    return users


async def _walk(rows: Sequence[Any], fetch: Callable[[Page], Awaitable[Slice[Any]]]) -> None:
    """Go through the whole list with pages of several sizes, and look at each."""
    for descending in (False, True):
        expected = list(reversed(rows)) if descending else list(rows)
        for size, most in ((100, None), (100, 1_000_000), (3, 20_000), (100, 20_000), (100, 60_000), (7, 1), (1000, 0)):
            seen = 0
            while seen < len(rows):
                found = await fetch(Page(size, seen, descending, max_bytes=most))
                left = expected[seen:][:size]
                count = len(left) if most is None else fitting(map(row_bytes, left), most)
                assert_same(found.items, left[:count])
                assert found.total == len(rows)
                seen += len(found.items)
            assert not (await fetch(Page(size, seen, descending, max_bytes=most))).items
