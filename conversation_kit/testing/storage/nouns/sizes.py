"""Pages that end before their size because of the bytes in them: no hole, nothing twice, and none longer than it may be."""

from __future__ import annotations

import random
from pathlib import Path

from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Receipt, ReceiptKind
from conversation_kit.domain.reading import RECEIPT_BYTES, EventRange, fitting
from conversation_kit.domain.scene import Changes
from conversation_kit.testing.harness.harness import Bench, Contract, no_conversation

MOST = 1_000_000
LENGTHS = (1, 300, 6_000, 20_000, 60_000)
TEXTS = ("x", "я", "☎", "\\")


class SizesContract(Contract):
    """``EventRange.max_bytes`` ends a page where ``fitting`` says, and nowhere else."""

    async def test_pages_of_long_events_go_on_where_they_were_cut(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            chance = random.Random(3)
            for weights in ((1, 0, 0, 0, 0), (1, 5, 2, 0, 0), (3, 9, 1, 1, 1), (0, 0, 1, 1, 9)):
                for _ in range(4):
                    lengths = chance.choices(LENGTHS, weights, k=15)
                    await bench.say(
                        room.id, *[text * (length // len(text.encode())) for length in lengths if (text := chance.choice(TEXTS))]
                    )
            log = await bench.log(room.id)
            for descending in (False, True):
                for size in (1, 7, 100, 1000):
                    await _walk(bench, room.id, log, size, descending=descending)

    async def test_pages_of_exactly_so_many_bytes_are_whole(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            await bench.say(room.id, *["☎" * 10_000] * 5)
            log = await bench.log(room.id)
            total = sum(len(event.data.encode()) for event in log)
            for most, count in ((total, 5), (total - 1, 4), (1, 1), (0, 1)):
                page = await _page(bench, room.id, EventRange(max_bytes=most))
                assert (len(page.ids), page.is_cut) == (count, count < 5)
            page = await _page(bench, room.id, EventRange(size=5, max_bytes=total))
            assert not page.is_cut

    async def test_receipts_are_part_of_a_pages_bytes(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            members = [await bench.member(room, await bench.user(f"user-{number}")) for number in range(30)]
            log = await bench.say(room.id, *["x"] * 80)
            now = bench.tick()
            receipts = [
                Receipt(room.id, event.id or 0, member.id, ReceiptKind.SEEN, now, 100 + number)
                for event in log
                for number, member in enumerate(members)
            ]
            await bench.commit(room.id, Changes(None, receipts=receipts))
            log = await bench.log(room.id)
            for most in (50_000, MOST, 50 * 80 * 30):
                await _walk(bench, room.id, log, 100, most=most)

    async def test_who_may_not_read_is_told_so_of_long_events_too(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            await bench.say(room.id, *["x" * 60_000] * 20)
            stranger = await bench.user("stranger")
            with no_conversation():
                await bench.storage.list_events(bench.access(stranger), room.id, EventRange(max_bytes=MOST))

    async def test_embedded_members_are_as_many_as_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            long = {"type": "app", "note": "☎" * 1_300}
            members = [
                await bench.member(room, await bench.user(f"user-{number}"), channel=long, media={"a": "x" * 4_000}) for number in range(12)
            ]
            for most, count in ((None, 12), (10**6, 12), (5 * 9_100, 5), (9_100, 1)):
                found = (await bench.storage.get_conversation(bench.access(), room.id, 100, most))[1]
                assert found == members[:count]


async def _page(bench: Bench, conversation_id: str, wanted: EventRange) -> EventPage:
    return await bench.storage.list_events(bench.access(), conversation_id, wanted)


async def _walk(bench: Bench, conversation_id: str, log: list[Event], size: int, *, descending: bool = False, most: int = MOST) -> None:
    """Go through the whole log by position, and look at each page."""
    expected = log[::-1] if descending else log
    seen: list[Event] = []
    while len(seen) < len(log):
        page = await _page(bench, conversation_id, EventRange(size, len(seen), descending, max_bytes=most))
        left = expected[len(seen) :][:size]
        count = fitting((len(event.data.encode()) + RECEIPT_BYTES * len(event.receipts) for event in left), most)
        found = page.events()
        assert found == left[:count]
        assert [sorted(event.state) for event in found] == [sorted(event.state) for event in left[:count]]
        assert page.is_cut is (count < len(left))
        seen += found
    assert not (await _page(bench, conversation_id, EventRange(size, len(seen), descending, max_bytes=most))).ids
