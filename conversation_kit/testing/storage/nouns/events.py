"""Events: the log as it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversation_kit.domain.errors import NotFound
from conversation_kit.domain.models import ReceiptKind
from conversation_kit.domain.reading import EventRange
from conversation_kit.testing.harness.harness import INVITED, LEFT, Contract, assert_same, refused

SEEN, DELIVERED = ReceiptKind.SEEN, ReceiptKind.DELIVERED


class EventsContract(Contract):
    """A log is read by id, in ranges and pages, each event with its receipts."""

    @pytest.mark.parametrize(
        ("wanted", "ids"),
        [
            (EventRange(), range(1, 13)),
            (EventRange(descending=True), range(12, 0, -1)),
            (EventRange(size=5), range(1, 6)),
            (EventRange(size=5, descending=True), range(12, 7, -1)),
            (EventRange(size=5, index=10), range(11, 13)),
            (EventRange(size=5, index=10, descending=True), range(2, 0, -1)),
            (EventRange(index=12), ()),
            (EventRange(index=1000), ()),
            (EventRange(start_id=4), range(4, 13)),
            (EventRange(end_id=4), range(1, 5)),
            (EventRange(start_id=4, end_id=4), [4]),
            (EventRange(start_id=4, end_id=9), range(4, 10)),
            (EventRange(start_id=4, end_id=9, descending=True), range(9, 3, -1)),
            (EventRange(start_id=4, end_id=9, size=2, index=1), [5, 6]),
            (EventRange(start_id=4, end_id=9, size=2, index=1, descending=True), [8, 7]),
            (EventRange(start_id=4, end_id=9, size=100, index=4), [8, 9]),
            (EventRange(start_id=9, end_id=4), ()),
            (EventRange(start_id=13), ()),
            (EventRange(start_id=0, end_id=2), [1, 2]),
            (EventRange(start_id=-5, end_id=0), ()),
            (EventRange(start_id=11, end_id=2**53), [11, 12]),
            (EventRange(start_id=2**53, descending=True), ()),
        ],
        ids=repr,
    )
    async def test_events_are_listed_by_id_in_ranges_and_pages(self, tmp_path: Path, wanted: EventRange, ids: range) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            events = await bench.say(room.id, *[f"text {number}" for number in range(1, 13)])
            await bench.say(hall.id, "elsewhere")
            page = await bench.storage.list_events(bench.access(), room.id, wanted)
            assert (page.application_id, page.conversation_id) == (room.application_id, room.id)
            assert [tuple(row) for row in page.rows] == [(id, events[id - 1].data) for id in ids]
            assert not any(page.receipts.values())

    async def test_a_conversation_without_events_has_an_empty_log(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            assert await bench.log(room.id) == []
            assert (await bench.stored(room)).sequence_number == 0

    async def test_an_event_is_found_by_its_id_as_it_was_composed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            member = await bench.member(room, await bench.user())
            composed = [
                *await bench.say(room.id, "from an admin"),
                *await bench.say(room.id, "from a member", sender=member.id),
                (await bench.edit(room.id, lambda draft: draft.append("custom:é", {"z": 1, "a": [None]}, to=member.id))).result,
            ]
            for event in composed:
                assert event.id is not None
                found = await bench.storage.get_event(bench.access(), room.id, event.id)
                assert_same(found, event)
                assert (found.type, found.sender, found.to, found.body) == (event.type, event.sender, event.to, event.body)
                assert found.timestamp == event.timestamp

    @pytest.mark.parametrize("id", [0, -1, 3, 2**31, 2**53])
    async def test_an_event_that_the_conversation_does_not_have_is_not_found(self, tmp_path: Path, id: int) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            await bench.say(room.id, "one", "two")
            await bench.say(hall.id, "one", "two", "three")
            with refused(NotFound, "event:error:not-found"):
                await bench.storage.get_event(bench.access(), room.id, id)

    async def test_events_come_with_their_receipts(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            ana, bo, cy = [
                await bench.member(room, await bench.user(name), state) for name, state in (("a", INVITED), ("b", LEFT), ("c", LEFT))
            ]
            first, second, _ = await bench.say(room.id, "one", "two", "three")
            (elsewhere,) = await bench.say(hall.id, "one")
            await bench.receive(elsewhere, ana, SEEN, 1)
            expected = {
                1: [await bench.receive(first, ana, SEEN, 4), await bench.receive(first, bo, SEEN, 5)],
                2: [await bench.receive(second, cy, DELIVERED, 6), await bench.receive(second, cy, SEEN, 7)],
                3: [],
            }
            for event in await bench.log(room.id):
                assert event.id is not None
                found = await bench.storage.get_event(bench.access(), room.id, event.id)
                assert_same(found, event)
                assert len(event.receipts) == len(expected[event.id])
                assert set(event.receipts) == set(expected[event.id])
                assert all(isinstance(receipt.kind, ReceiptKind) for receipt in event.receipts)

    async def test_a_page_of_events_has_the_receipts_of_its_rows_only(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            member = await bench.member(room, await bench.user())
            receipts = [await bench.receive(event, member, SEEN, 9) for event in await bench.say(room.id, "one", "two", "three", "four")]
            for wanted, ids in (
                (EventRange(size=2, index=1), [2, 3]),
                (EventRange(size=2, index=1, descending=True), [3, 2]),
                (EventRange(start_id=4), [4]),
                (EventRange(start_id=5), []),
            ):
                page = await bench.storage.list_events(bench.access(), room.id, wanted)
                found = {id: list(receipts) for id, receipts in page.receipts.items() if receipts}
                assert found == {id: [receipts[id - 1]] for id in ids}
