"""Legs: inside conversations and outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import NotFound
from conversation_kit.domain.models import Leg, LegStatus
from conversation_kit.domain.reading import Page, Slice
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.harness import APP, OTHER, Bench, Contract, assert_pages, assert_ranges, assert_same, refused


def listing(bench: Bench, application_id: str = APP) -> Callable[[Page], Awaitable[Slice[Leg]]]:
    """Return the function that lists the application's legs."""
    return lambda page: bench.storage.list_legs(application_id, page)


class LegsContract(Contract):
    """A leg belongs to the application; with or without a conversation it is changed through ``change``."""

    async def test_a_leg_outside_any_conversation_is_inserted_and_found(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            leg = await bench.leg(knocking_id=new_id("knocking"))
            found = await bench.storage.get_leg(APP, leg.id)
            assert_same(found, leg)
            assert found.status is LegStatus.STARTED, "the enum's member, not its text"

    async def test_a_leg_is_replaced_by_its_id_and_keeps_its_place(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            leg, other = await bench.leg(knocking_id="KNO-1"), await bench.leg()
            new = replace(leg, status=LegStatus.ANSWERED, knocking_id=None, start_time=bench.tick(), history=[{"status": "answered"}])
            await bench.commit(None, Changes(None, legs=[new]))
            assert_same((await listing(bench)(Page())).items, [new, other])

    async def test_a_leg_may_move_into_a_conversation_and_to_a_member(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            member = await bench.member(room, user)
            leg = await bench.leg(knocking_id="KNO-1")
            moved = replace(leg, knocking_id=None, conversation_id=room.id, member_id=member.id)
            await bench.edit(room.id, lambda draft: draft.save_leg(moved))
            assert_same(await bench.storage.get_leg(APP, leg.id), moved)
            assert (await bench.scene(None, Needs(knocking_id="KNO-1"))).legs == []
            assert_same((await bench.scene(room.id, Needs(live_legs=True))).legs, [moved])

    async def test_a_removed_leg_is_gone(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            inside, outside, stays = await bench.leg(conversation_id=room.id), await bench.leg(), await bench.leg()
            await bench.edit(room.id, lambda draft: draft.remove_leg(inside))
            await bench.commit(None, Changes(None, removed_legs=[outside.id]))
            for leg in (inside, outside):
                with refused(NotFound, "leg:error:not-found"):
                    await bench.storage.get_leg(APP, leg.id)
            assert_same((await listing(bench)(Page())).items, [stays])

    async def test_a_leg_that_the_application_does_not_have_is_not_found(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            leg = await bench.leg(application_id=OTHER)
            with refused(NotFound, "leg:error:not-found"):
                await bench.storage.get_leg(APP, leg.id)
            with refused(NotFound, "leg:error:not-found"):
                await bench.storage.get_leg(OTHER, new_id("LEG"))
            await bench.commit(None, Changes(None, removed_legs=[leg.id]))
            assert_same(await bench.storage.get_leg(OTHER, leg.id), leg)
            assert (await listing(bench)(Page())).total == 0

    async def test_lists_legs_by_creation_page_by_page(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            await bench.leg(application_id=OTHER)
            instants = [bench.tick() for _ in range(6)]
            made = [
                await bench.leg(created=instants[number], conversation_id=room.id if number % 2 else None) for number in (3, 0, 5, 1, 4, 2)
            ]
            rows = sorted(made, key=lambda leg: leg.created)
            await assert_pages(listing(bench), rows)
            await assert_ranges(listing(bench), rows, lambda leg: leg.created)

    async def test_lists_legs_of_the_same_instant_by_id(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            now = bench.tick()
            made = [bench.make_leg(id=f"LEG-{number}", created=now) for number in (4, 1, 3, 0, 2)]
            await bench.commit(None, Changes(None, legs=made))
            await assert_pages(listing(bench), sorted(made, key=lambda leg: leg.id))

    async def test_what_a_decision_about_a_leg_raises_is_passed_on_and_nothing_is_written(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            leg = await bench.leg()

            def decide(scene: Scene) -> Changes[None]:
                assert scene.leg(leg.id)
                raise LookupError("no")

            with pytest.raises(LookupError, match=r"^no$"):
                await bench.storage.change(APP, None, Needs(legs=(leg.id,)), decide)
            assert_same((await listing(bench)(Page())).items, [leg])

    async def test_legs_outlive_their_conversation(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            leg, other = await bench.leg(conversation_id=room.id), await bench.leg(conversation_id=room.id)
            ended, late = replace(leg, status=LegStatus.COMPLETED, end_time=bench.tick()), bench.make_leg(conversation_id=room.id)

            def work(draft: Draft) -> None:
                draft.save_leg(ended)
                draft.save_leg(late)
                draft.destroy()

            await bench.edit(room.id, work)
            assert_same((await listing(bench)(Page())).items, [ended, other, late])
