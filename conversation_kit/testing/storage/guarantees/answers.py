"""Answers that are kept with a change, for who asks for the same again."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.answers import Answer
from conversation_kit.testing.harness.concurrency import failures, together
from conversation_kit.testing.harness.harness import APP, OTHER, Bench, Contract

DAY = timedelta(days=1)
RACERS = 16


def answer(mark: str, now: datetime, result: str = '{"value":null}') -> Answer:
    """Return an answer that is kept for a day."""
    return Answer(mark, "d" * 64, result, now, now + DAY)


async def say_once(bench: Bench, conversation_id: str, kept: Answer, application_id: str = APP) -> None:
    """Append an event, and keep an answer with it."""

    def decide(scene: Scene) -> Changes[None]:
        draft = Draft(scene, kept.created)
        draft.append("text", {"text": kept.result})
        changes = draft.done(None)
        changes.answers = [kept]
        return changes

    await bench.storage.change(application_id, conversation_id, Needs(), decide)


class AnswersContract(Contract):
    """An answer is kept in the transaction of its change, and a mark has one answer at a time."""

    async def test_an_answer_is_there_with_its_change_and_comes_back_as_it_was(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, now = await bench.conversation(), bench.tick()
            kept = answer("m" * 64, now, '{"value":"' + "ä€🙂\\n\\u0000" * 5_000 + '"}')
            assert await bench.storage.get_answer(APP, kept.mark, now) is None
            await say_once(bench, room.id, kept)
            assert await bench.storage.get_answer(APP, kept.mark, now) == kept
            assert await bench.storage.get_answer(OTHER, kept.mark, now) is None
            assert await bench.storage.get_answer(APP, kept.mark.upper(), now) is None

    async def test_a_mark_that_is_there_refuses_all_of_a_change(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, other, now = await bench.conversation(), await bench.conversation(), bench.tick()
            first = answer("m", now, "1")
            await say_once(bench, room.id, first)
            for conversation in (room, other):
                with pytest.raises(Conflict) as refused:
                    await say_once(bench, conversation.id, answer("m", now, "2"))
                assert refused.value.code == "http:error:idempotency-in-flight"
            assert await bench.storage.get_answer(APP, "m", now) == first
            assert (await bench.stored(room)).sequence_number == 1
            assert (await bench.stored(other)).sequence_number == 0
            await say_once(bench, other.id, answer("another", now))

    async def test_the_mark_of_another_application_is_another_one(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, now = await bench.conversation(), bench.tick()
            stranger = await bench.conversation(application_id=OTHER)
            await say_once(bench, room.id, answer("m", now, "1"))
            await say_once(bench, stranger.id, answer("m", now, "2"), OTHER)
            assert await bench.storage.get_answer(OTHER, "m", now) == answer("m", now, "2")

    async def test_a_change_that_is_refused_keeps_no_answer(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            await bench.conversation("taken")
            room, now = await bench.conversation(), bench.tick()

            def decide(scene: Scene) -> Changes[None]:
                draft = Draft(scene, now)
                draft.update(name="taken")
                changes = draft.done(None)
                changes.answers = [answer("m", now)]
                return changes

            with pytest.raises(Conflict):
                await bench.storage.change(APP, room.id, Needs(), decide)
            assert await bench.storage.get_answer(APP, "m", now) is None

    async def test_an_answer_is_kept_with_a_change_of_no_conversation(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            now = bench.tick()
            for number, changes in enumerate((Changes(None), Changes(None, legs=[bench.make_leg()]))):
                changes.answers = [answer(f"m{number}", now)]
                await bench.commit(None, changes)
                assert await bench.storage.get_answer(APP, f"m{number}", now) is not None

    async def test_an_answer_that_has_expired_makes_way(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, now = await bench.conversation(), bench.tick()
            for number in range(3):
                await say_once(bench, room.id, answer(f"old {number}", now, "1"))
            later = now + DAY
            assert await bench.storage.get_answer(APP, "old 1", later - timedelta(milliseconds=1)) is not None
            assert await bench.storage.get_answer(APP, "old 1", later) is None
            await say_once(bench, room.id, answer("old 1", later, "2"))
            assert await bench.storage.get_answer(APP, "old 1", later) == answer("old 1", later, "2")

    async def test_of_many_changes_with_one_mark_one_happens(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            rooms, now = [await bench.conversation() for _ in range(4)], bench.tick()
            for mark in ("one", "two"):
                calls = [partial(say_once, bench, rooms[n % 4].id, answer(mark, now, f"{n}")) for n in range(RACERS)]
                outcomes = await together(*calls)
                lost = failures(outcomes)
                assert {getattr(error, "code", error) for error in lost} == {"http:error:idempotency-in-flight"}
                assert len(lost) == RACERS - 1
                kept = await bench.storage.get_answer(APP, mark, now)
                assert kept == answer(mark, now, str(outcomes.index(None)))
            assert sum([(await bench.stored(room)).sequence_number for room in rooms]) == 2
