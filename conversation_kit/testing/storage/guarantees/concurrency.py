"""Concurrency: ids without holes, one at a time in a conversation, neighbours that do not hurt each other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import NotFound, Rejected
from conversation_kit.domain.models import MemberState
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.testing.harness.concurrency import failures, together
from conversation_kit.testing.harness.harness import APP, OTHER, Bench, Contract, needs


class ConcurrencyContract(Contract):
    """Promises for calls that come at once."""

    async def test_concurrent_events_get_gapless_ids_in_each_conversation(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            hot = await bench.conversation()
            others = [await bench.conversation(application_id=application_id) for application_id in (APP, APP, OTHER)]
            told: list[tuple[str, int | None]] = []

            async def talk(room_id: str, application_id: str) -> None:
                for _ in range(25):
                    changes = await bench.edit(room_id, lambda draft: draft.append("text", {}), application_id=application_id)
                    told.append((room_id, changes.result.id))

            rooms = [hot] * 16 + others
            assert failures(await together(*[partial(talk, room.id, room.application_id) for room in rooms])) == []
            for room in (hot, *others):
                ids = list(range(1, 25 * (16 if room is hot else 1) + 1))
                assert sorted(id or 0 for room_id, id in told if room_id == room.id) == ids
                assert [event.id for event in await bench.log(room.id, room.application_id)] == ids
                assert (await bench.stored(room)).sequence_number == ids[-1]

    async def test_each_writer_finds_its_own_texts_where_it_was_told(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            outcomes = await together(*[partial(bench.say, room.id, f"{number}a", f"{number}b") for number in range(40)])
            assert failures(outcomes) == []
            log = {event.id: event for event in await bench.log(room.id)}
            assert sorted(id or 0 for id in log) == list(range(1, 81))
            for events in outcomes:
                assert not isinstance(events, Exception)
                assert [log[event.id] for event in events] == events

    async def test_a_decision_that_raises_does_not_fail_its_neighbours(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, other = await bench.conversation(), await bench.conversation()

            def raises(error: Exception) -> Changes[None]:
                raise error

            async def attempt(number: int) -> int | None:
                if number % 5 == 1:
                    await bench.storage.change(APP, room.id, Needs(), lambda scene: raises(Rejected("test:error:no", "No.")))
                if number % 5 == 2:
                    await bench.storage.change(APP, room.id, Needs(), lambda scene: raises(ZeroDivisionError()))
                if number % 5 == 3:
                    await bench.say("CON-missing", "lost")
                return (await bench.say((room if number % 2 else other).id, str(number)))[0].id

            outcomes = await together(*[partial(attempt, number) for number in range(40)])
            wanted = {1: Rejected, 2: ZeroDivisionError, 3: NotFound}
            for number, outcome in enumerate(outcomes):
                assert isinstance(outcome, wanted.get(number % 5, int)), (number, outcome)
            for room_of in (room, other):
                log = await bench.log(room_of.id)
                assert [event.id for event in log] == list(range(1, 9))

    async def test_a_taken_name_does_not_fail_its_neighbours(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await bench.conversation("taken")
            rooms = [await bench.conversation() for _ in range(8)]

            async def rename(room_id: str, name: str) -> None:
                def work(draft: Draft) -> None:
                    draft.update(name=name)
                    draft.append("text", {"name": name})

                await bench.edit(room_id, work)

            calls = [partial(rename, room.id, "taken" if number % 2 else f"free {number}") for number, room in enumerate(rooms)]
            outcomes = await together(*calls, *[partial(bench.say, room.id, "hello") for room in rooms])
            assert [getattr(outcome, "code", None) for outcome in outcomes] == [None, "conversation:error:duplicate-name"] * 4 + [None] * 8
            for number, room in enumerate(rooms):
                assert (await bench.stored(room)).name == (room.name if number % 2 else f"free {number}")
                assert [event.id for event in await bench.log(room.id)] == ([1] if number % 2 else [1, 2])

    async def test_readers_see_all_of_a_change_or_nothing(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            users = [await bench.user(f"user {number}") for number in range(30)]
            done = anyio.Event()

            async def write() -> None:
                for user in users:

                    def work(draft: Draft, user_id: str = user.id) -> None:
                        member = bench.make_member(draft.conversation, next(user for user in users if user.id == user_id))
                        draft.save_member(member)
                        for _ in range(5):
                            draft.append("text", {})

                    await bench.edit(room.id, work)
                done.set()

            async def read() -> None:
                while not done.is_set():
                    page = await bench.storage.list_events(bench.access(), room.id, EventRange(size=1000))
                    assert [id for id, _ in page.rows] == list(range(1, len(page.rows) + 1))
                    assert len(page.rows) % 5 == 0
                    conversation, members = await bench.storage.get_conversation(bench.access(), room.id, 100)
                    assert conversation.sequence_number == 5 * conversation.joined_members == 5 * len(members)
                    assert len(members) >= len(page.rows) // 5, "time does not run backwards"
                    await anyio.lowlevel.checkpoint()

            assert failures(await together(write, read, read)) == []

    async def test_what_a_change_returned_can_be_read_at_once(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()

            async def talk(number: int) -> None:
                for _ in range(5):
                    (event,) = await bench.say(room.id, str(number))
                    assert event.id is not None
                    assert await bench.storage.get_event(bench.access(), room.id, event.id) == event

            assert failures(await together(*[partial(talk, number) for number in range(8)])) == []

    async def test_states_of_many_conversations_do_not_mix(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            ana = await bench.user("ana")
            rooms = [await bench.conversation(active_members=number) for number in range(16)]

            def join(scene: Scene) -> Changes[int]:
                draft = Draft(scene, bench.clock())
                before = draft.conversation.active_members
                assert not scene.members
                draft.save_member(bench.make_member(draft.conversation, ana, MemberState.INVITED))
                return draft.done(before)

            outcomes = await together(*[partial(bench.storage.change, APP, room.id, Needs("ana"), join) for room in rooms])
            assert [outcome.result for outcome in outcomes if isinstance(outcome, Changes)] == list(range(16))
            assert [(await bench.stored(room)).active_members for room in rooms] == list(range(1, 17))

    async def test_changes_of_many_conversations_by_two_storages_wait_for_each_other_and_end(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as here, self.bench(tmp_path) as there:
            needs(here.storage, "several_processes")
            rooms = [await here.conversation() for _ in range(6)]
            orders = [(here, rooms), (there, rooms[::-1])]

            async def talk(bench: Bench, room_ids: list[str]) -> None:
                for _ in range(3):
                    assert failures(await together(*[partial(bench.say, id, "hello") for id in room_ids])) == []

            calls = [partial(talk, bench, [room.id for room in order]) for bench, order in orders]
            assert failures(await together(*calls)) == []
            for room in rooms:
                assert [event.id for event in await here.log(room.id)] == list(range(1, 7))
