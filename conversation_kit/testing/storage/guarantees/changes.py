"""Effects of a change: the things that it commits, and those that it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Receipt, ReceiptKind
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.testing.harness.harness import APP, JOINED, LEFT, OTHER, Contract, assert_same, no_conversation
from conversation_kit.testing.harness.writes import create_conversation

SEEN, DELIVERED = ReceiptKind.SEEN, ReceiptKind.DELIVERED


class ChangesContract(Contract):
    """A change is committed wholly, as it was decided, or not at all."""

    async def test_a_change_returns_what_was_decided(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            made = await bench.edit(room.id, lambda draft: draft.append("text", {"text": "hello"}))
            assert made.result.id == 1
            assert list(made.events) == [made.result]
            assert len(made.signals) == 1
            assert made.conversation == replace(room, sequence_number=1)

    async def test_everything_in_a_change_is_committed_together(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, users = await bench.conversation("room"), [await bench.user(name) for name in ("ana", "bo")]
            ana, bo = [bench.make_member(room, user) for user in users]
            leg = bench.make_leg(conversation_id=room.id, member_id=ana.id)
            receipt = Receipt(room.id, 1, bo.id, SEEN, bench.tick(), 2)

            def work(draft: Draft) -> None:
                draft.save_member(ana)
                draft.save_member(bo)
                draft.append("text", {"text": "hello"}, sender=ana.id)
                draft.append("text:seen", {"event_id": 1}, sender=bo.id)
                draft.receipt(receipt)
                draft.save_leg(leg)
                draft.update(name="hall", display_name="The Hall", properties={"ttl": 60}, updated=draft.now)

            made = await bench.edit(room.id, work)
            conversation, members = await bench.storage.get_conversation(bench.access(), room.id, 10)
            assert_same(conversation, made.conversation)
            assert_same(members, [ana, bo])
            assert_same(await bench.log(room.id), [replace(made.events[0], receipts=[receipt]), made.events[1]])
            assert_same(await bench.storage.get_leg(APP, leg.id), leg)

    async def test_a_change_of_nothing_writes_nothing(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            await bench.say(room.id, "hello")
            before = await bench.stored(room)
            assert (await bench.commit(room.id, Changes("nothing"))).result == "nothing"
            assert_same(await bench.stored(room), before)
            assert len(await bench.log(room.id)) == 1

    async def test_what_a_decision_raises_is_passed_on_and_nothing_is_written(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            (before,) = await bench.say(room.id, "hello")
            error = LookupError("no")

            def work(draft: Draft) -> None:
                draft.append("text", {"text": "never"})
                draft.save_member(bench.make_member(room, user))
                draft.rewrite(draft.compose(1, "text", {"text": "never"}))
                raise error

            with pytest.raises(LookupError) as caught:
                await bench.edit(room.id, work)
            assert caught.value is error
            with no_conversation():
                await bench.edit("CON-missing", work)
            assert_same(await bench.stored(room), replace(room, sequence_number=1))
            assert_same(await bench.log(room.id), [before])
            assert (await bench.storage.list_members(bench.access(), room.id, Page())).total == 0

    async def test_event_ids_go_on_where_the_last_change_ended(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            events = [*await bench.say(room.id, "1", "2"), *await bench.say(room.id, "3")]
            assert [event.id for event in await bench.say(hall.id, "1")] == [1]
            await bench.edit(room.id, lambda draft: draft.send_ephemeral("ephemeral", {}))
            await bench.edit(room.id, lambda draft: draft.update(display_name="no event"))
            events += await bench.say(room.id, "4", "5")
            assert [event.id for event in events] == [1, 2, 3, 4, 5]
            assert_same(await bench.log(room.id), events)
            assert (await bench.stored(room)).sequence_number == 5

    async def test_a_rewritten_event_keeps_its_place_and_its_receipts(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall = await bench.conversation(), await bench.conversation()
            member = await bench.member(room, await bench.user())
            first, second, third = await bench.say(room.id, "one", "two", "three")
            (elsewhere, untouched) = await bench.say(hall.id, "one", "two")
            receipt = await bench.receive(second, member, SEEN, 3)

            def work(draft: Draft) -> None:
                draft.rewrite(draft.compose(2, "text", {"timestamp": {"deleted": "2026-01-01T00:00:00.000Z"}}, timestamp=second.timestamp))
                draft.append("event:delete", {"event_id": 2})

            made = await bench.edit(room.id, work)
            tombstone = replace(made.rewritten[0], receipts=[receipt])
            assert tombstone.is_deleted
            assert_same(await bench.log(room.id), [first, tombstone, third, *made.events])
            assert_same((await bench.scene(room.id, Needs(events=(2,), members=(member.id,)))).events[2], tombstone)
            assert_same(await bench.log(hall.id), [elsewhere, untouched])

    async def test_the_first_receipt_of_a_kind_stays(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            ana, bo = [await bench.member(room, await bench.user(name)) for name in ("ana", "bo")]
            event, other = await bench.say(room.id, "one", "two")
            first = await bench.receive(event, ana, SEEN, 3)
            await bench.receive(event, ana, SEEN, 4)
            further = [
                await bench.receive(event, ana, DELIVERED, 5),
                await bench.receive(event, bo, SEEN, 6),
                await bench.receive(other, ana, SEEN, 7),
            ]
            one, two = await bench.log(room.id)
            assert len(one.receipts) == 3
            assert set(one.receipts) == {first, further[0], further[1]}
            assert list(two.receipts) == [further[2]]

    async def test_the_first_receipt_of_a_kind_stays_within_one_change_too(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            member = await bench.member(room, await bench.user())
            await bench.say(room.id, "one")
            first = Receipt(room.id, 1, member.id, SEEN, bench.tick(), 2)
            second = replace(first, timestamp=bench.tick(), receipt_id=3)
            await bench.commit(room.id, Changes(None, receipts=[first, second]))
            assert list((await bench.log(room.id))[0].receipts) == [first]

    async def test_members_are_replaced_by_id(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            first, second = await bench.member(room, user), await bench.member(room, user, channel={"type": "phone"})
            new = replace(
                first,
                channel={"type": "app", "leg_id": "LEG-1", "leg_ids": [{"leg_id": "LEG-1"}]},
                state=LEFT,
                left=bench.tick(),
                initiator={"left": {"isSystem": True}},
                media={"audio": {"enabled": True}},
                invited_by=user.id,
            )
            await bench.save_member(new)
            _, found = await bench.storage.get_conversation(bench.access(), room.id, 10)
            assert_same(found, [second, new])
            assert_same(await bench.stored(room), replace(room, active_members=1, joined_members=1))

    async def test_a_destroyed_conversation_takes_all_but_its_legs_along(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, user = await bench.conversation("room"), await bench.conversation("hall"), await bench.user()
            for where in (room, hall):
                member = await bench.member(where, user)
                (event,) = await bench.say(where.id, "hello", sender=member.id)
                await bench.receive(event, member, SEEN, 1)
            leg = await bench.leg(conversation_id=room.id)
            kept = (await bench.storage.get_conversation(bench.access(), hall.id, 10), await bench.log(hall.id))
            await bench.destroy(room)
            with no_conversation():
                await bench.stored(room)
            assert (await bench.scene(room.id)).conversation is None
            assert_same(await bench.storage.get_leg(APP, leg.id), leg)
            assert_same((await bench.storage.get_conversation(bench.access(), hall.id, 10), await bench.log(hall.id)), kept)

            # Under the same id nothing of it comes back.
            await create_conversation(bench.storage, room)
            assert await bench.log(room.id) == []
            assert (await bench.storage.list_members(bench.access(), room.id, Page())).total == 0
            (event,) = await bench.say(room.id, "hello")
            assert event.id == 1
            assert_same(await bench.log(room.id), [event])

    async def test_a_destroyed_conversation_is_gone_whatever_else_the_change_says(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation("room"), await bench.user()
            member = await bench.member(room, user)

            def work(draft: Draft) -> None:
                draft.save_member(replace(member, state=LEFT, left=draft.now))
                draft.append("member:left", {}, sender=member.id)
                draft.update(name="hall")
                draft.destroy()

            await bench.edit(room.id, work, Needs(members=(member.id,)))
            with no_conversation():
                await bench.stored(room)
            await bench.conversation("room")
            await bench.conversation("hall")

    async def test_nothing_is_changed_through_another_application(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            await bench.member(room, user)
            before = await bench.stored(room)
            with no_conversation():
                await bench.edit(room.id, Draft.destroy, application_id=OTHER)
            await bench.commit(room.id, Changes(None, destroyed=True), OTHER)
            await bench.commit(room.id, Changes(None, conversation=replace(room, name="theirs")), OTHER)
            assert_same(await bench.stored(room), before)
            assert list(await bench.storage.expired_conversations(OTHER, bench.clock() + timedelta(days=1), 10)) == []

    async def test_a_decision_may_answer_what_it_saw(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            member = await bench.member(room, user)

            def decide(scene: Scene) -> Changes[str]:
                return Changes(scene.members_of(scene.caller, JOINED)[0].id)

            assert (await bench.storage.change(APP, room.id, Needs(caller=user.name), decide)).result == member.id
