"""Durability: what was committed is there afterwards, and others on the same data respect it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from conversation_kit.domain.models import ReceiptKind
from conversation_kit.domain.reading import Page
from conversation_kit.domain.values.epochs import FIRST_EPOCH
from conversation_kit.ports import Restorable, Storage
from conversation_kit.testing.harness.concurrency import failures, together, winner
from conversation_kit.testing.harness.harness import APP, Bench, Contract, needs


class DurabilityContract(Contract):
    """Promises about opening, closing and coming back."""

    async def test_it_is_a_storage(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            assert isinstance(bench.storage, Storage)

    async def test_opening_and_closing_twice_does_no_harm(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            await bench.storage.open()
            assert await bench.stored(room) == room
            await bench.storage.close()
            await bench.storage.close()
            await bench.storage.open()

    async def test_data_outlives_close(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            events = await bench.say(room.id, "one")
            await bench.storage.close()
            await bench.storage.open()
            assert (await bench.stored(room)).sequence_number == 1
            assert await bench.log(room.id) == events
            assert (await bench.say(room.id, "two"))[0].id == 2

    async def test_data_outlives_the_storage_object(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            needs(bench.storage, "durable")
            ana, room = await bench.user("ana"), await bench.conversation("room")
            member = await bench.member(room, ana)
            leg = await bench.leg(conversation_id=room.id)
            one, two = await bench.say(room.id, "one", "two")
            receipt = await bench.receive(one, member, ReceiptKind.SEEN, 2)
            stored = await bench.stored(room)
        async with self.bench(tmp_path) as later:
            assert await later.storage.get_user(APP, name="ana") == ana
            assert await later.storage.get_conversation(bench.access(), room.id, 10) == (stored, [member])
            assert await later.storage.get_leg(APP, leg.id) == leg
            log = await later.log(room.id)
            assert [event.data for event in log] == [one.data, two.data]
            assert list(log[0].receipts) == [receipt]
            assert (await later.say(room.id, "three"))[0].id == 3

    async def test_each_epoch_is_another_one_and_outlives_the_storage_object(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            storage = bench.storage
            if not isinstance(storage, Restorable):
                pytest.skip("it is not Restorable")
            epochs = [await storage.epoch(), await storage.renew_epoch(), await storage.renew_epoch()]
            assert epochs[0] == FIRST_EPOCH
            assert len(set(epochs)) == 3
            assert await storage.epoch() == epochs[2]
            await storage.close()
            await storage.open()
            assert await storage.epoch() == epochs[2]
            if storage.capabilities.several_processes:
                async with self.bench(tmp_path) as other:
                    assert isinstance(other.storage, Restorable)
                    assert await other.storage.epoch() == epochs[2]
                    epochs.append(await other.storage.renew_epoch())
                assert await storage.epoch() == epochs[3]

    async def test_two_storages_on_the_same_data_see_each_other(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as here, self.bench(tmp_path) as there:
            needs(here.storage, "several_processes")
            room = await here.conversation()
            for bench, other in ((here, there), (there, here)) * 3:
                (event,) = await bench.say(room.id, "hello")
                assert event.id is not None
                assert await other.storage.get_event(other.access(), room.id, event.id) == event
            winner(await together(*[partial(bench.user, "ana") for bench in (here, there) * 4]), "user")

    async def test_two_storages_on_the_same_data_share_gapless_ids(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as here, self.bench(tmp_path) as there:
            needs(here.storage, "several_processes")
            room = await here.conversation()

            async def talk(bench: Bench) -> None:
                for _ in range(20):
                    await bench.say(room.id, "hello")

            assert failures(await together(*[partial(talk, bench) for bench in (here, there) * 4])) == []
            for bench in (here, there):
                assert [event.id for event in await bench.log(room.id)] == list(range(1, 161))

    async def test_several_storages_may_be_opened_at_once_on_new_data(self, tmp_path: Path) -> None:
        async with self.open_storage(tmp_path) as storage:
            needs(storage, "several_processes")

        async def use(name: str) -> None:
            async with self.bench(tmp_path) as bench:
                await bench.user(name)

        assert failures(await together(*[partial(use, name) for name in "abcd"])) == []
        async with self.bench(tmp_path) as bench:
            for name in "abcd":
                assert (await bench.storage.get_user(APP, name=name)).name == name

    async def test_what_is_not_durable_says_so(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            durable = bench.storage.capabilities.durable
            await bench.user("ana")
        async with self.bench(tmp_path) as later:
            assert [user.name for user in (await later.storage.list_users(APP, Page())).items] == (["ana"] if durable else [])

    async def test_what_several_processes_cannot_share_says_so(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as here, self.bench(tmp_path) as there:
            if not here.storage.capabilities.several_processes:
                await here.user("ana")
                await there.user("ana")
