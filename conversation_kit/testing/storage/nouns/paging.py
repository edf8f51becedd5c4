"""Paging while others write: no hole, nothing twice, and each page of one instant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.events import EventPage
from conversation_kit.domain.models import Conversation, Leg, Member, Receipt, ReceiptKind, User
from conversation_kit.domain.reading import EventRange, Page, Slice
from conversation_kit.testing.harness.concurrency import failures, together
from conversation_kit.testing.harness.harness import APP, Bench, Contract

T = TypeVar("T", Conversation, User, Member, Leg)
SEEN, DELIVERED = ReceiptKind.SEEN, ReceiptKind.DELIVERED
WRITERS = 4
EACH = 8
"""Number of changes that a writer makes; each appends two events."""


class PagingContract(Contract):
    """Whoever goes through pages while others write sees what was there when it began, and all that follows, once and in order."""

    async def test_pages_by_position_have_no_hole_and_nothing_twice_while_writers_append(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await _read_while_others_write(bench, lambda seen, size: EventRange(size, index=seen))

    async def test_pages_by_id_have_no_hole_and_nothing_twice_while_writers_append(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await _read_while_others_write(bench, lambda seen, size: EventRange(size, start_id=seen + 1))

    async def test_pages_backwards_from_an_id_stay_the_same_while_writers_append(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, member = await _room(bench)
            await _append(bench, room, member, times=5)
            done = anyio.Event()

            async def write() -> None:
                await _append(bench, room, member, times=EACH)
                done.set()

            async def read() -> None:
                while True:
                    last = done.is_set()
                    seen: list[int] = []
                    while len(seen) < 10:
                        page = await bench.storage.list_events(
                            bench.access(), room.id, EventRange(3, len(seen), descending=True, end_id=10)
                        )
                        _check(page)
                        seen += page.ids
                    assert seen == list(range(10, 0, -1)), "what is appended meanwhile moves no page that ends before it"
                    if last:
                        return
                    await anyio.lowlevel.checkpoint()

            assert failures(await together(write, read)) == []

    async def test_lists_have_no_hole_and_nothing_twice_while_others_are_added(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            hall, storage = await bench.conversation("hall"), bench.storage
            made: dict[str, list[str]] = {"conversations": [hall.id], "users": [], "members": [], "legs": []}
            done = anyio.Event()

            async def write() -> None:
                for number in range(12):
                    user = await bench.user(f"user {number}")
                    made["users"].append(user.id)
                    made["conversations"].append((await bench.conversation()).id)
                    made["members"].append((await bench.member(hall, user)).id)
                    made["legs"].append((await bench.leg()).id)
                    await anyio.lowlevel.checkpoint()
                done.set()

            async def walk(noun: str, fetch: Callable[[Page], Awaitable[Slice[T]]]) -> None:
                found: list[str] = []
                while True:
                    last = done.is_set()
                    page = await fetch(Page(size=3, index=len(found)))
                    assert len(page.items) == max(0, min(3, page.total - len(found))), "the rows and the total are of one instant"
                    found += [item.id for item in page.items]
                    if last and not page.items:
                        break
                    await anyio.lowlevel.checkpoint()
                assert found == made[noun]

            async def conversations() -> None:
                await walk("conversations", lambda page: storage.list_conversations(APP, page, bench.clock()))

            async def users() -> None:
                await walk("users", lambda page: storage.list_users(APP, page))

            async def members() -> None:
                await walk("members", lambda page: storage.list_members(bench.access(), hall.id, page))

            async def legs() -> None:
                await walk("legs", lambda page: storage.list_legs(APP, page))

            assert failures(await together(write, conversations, users, members, legs)) == []


async def _room(bench: Bench) -> tuple[Conversation, Member]:
    room = await bench.conversation()
    return room, await bench.member(room, await bench.user())


async def _append(bench: Bench, room: Conversation, member: Member, times: int) -> None:
    """Append two events in each change: the first one is seen at once, and delivered by the change that appends the second."""
    now = bench.tick()

    def work(draft: Draft) -> None:
        first = draft.append("text", {}).id or 0
        draft.append("text", {})
        for kind, event_id in ((SEEN, first), (DELIVERED, first), (SEEN, first + 1)):
            draft.receipt(Receipt(room.id, event_id, member.id, kind, now, first + 1))

    for _ in range(times):
        await bench.edit(room.id, work)
        await anyio.lowlevel.checkpoint()


def _check(page: EventPage) -> None:
    """Check that rows and receipts are of one instant: each event has the receipts that were committed with it."""
    assert [event.id for event in page.events()] == list(page.ids)
    for event in page.events():
        assert event.fields["id"] == str(event.id), "a row is that of its id"
        kinds = {receipt.kind for receipt in event.receipts}
        assert kinds == ({SEEN, DELIVERED} if (event.id or 0) % 2 else {SEEN}), f"event {event.id} came without its receipts"


async def _read_while_others_write(bench: Bench, wanted: Callable[[int, int], EventRange]) -> None:
    """Let two readers go through a log with pages of different sizes until the writers are done and nothing follows."""
    room, member = await _room(bench)
    writing = WRITERS

    async def write() -> None:
        nonlocal writing
        await _append(bench, room, member, EACH)
        writing -= 1

    async def read(size: int) -> None:
        seen: list[int] = []
        while True:
            last = writing == 0
            page = await bench.storage.list_events(bench.access(), room.id, wanted(len(seen), size))
            _check(page)
            seen += page.ids
            if last and not page.ids:
                break
            await anyio.lowlevel.checkpoint()
        assert seen == list(range(1, 2 * WRITERS * EACH + 1))

    assert failures(await together(*[write] * WRITERS, partial(read, 3), partial(read, 10))) == []
