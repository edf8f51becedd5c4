"""Crashes: wherever a change is cut off, all of it is there afterwards or nothing, and the next one goes on without a hole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import ConfigurationError, OutcomeUnknown, StorageUnavailable
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.testing.harness.concurrency import during, failures, together
from conversation_kit.testing.harness.crashing import DIED, Moment, die
from conversation_kit.testing.harness.harness import APP, Bench, Contract, needs
from conversation_kit.testing.harness.steps import step, steps_taken, take_step

PAUSES = (0, 1, 2, 4, 8)
"""After how many turns of the event loop a call is cut off."""


class CrashesContract(Contract):
    """Promises for the case that something is cut off in the middle."""

    async def test_a_process_that_dies_leaves_all_of_a_change_or_nothing(self, tmp_path: Path, anyio_backend_name: str) -> None:
        async with self.bench(tmp_path) as bench:
            needs(bench.storage, "several_processes")
            room = await bench.conversation()
            moments: list[Moment] = ["under way", "deciding", "answered"]
            for moment in moments:
                with during(f"the death of a process: {moment if isinstance(moment, str) else f'look {moment} at what was decided'}"):
                    before = await step(bench, room.id)
                    code = await die(self, tmp_path, room.id, moment, anyio_backend_name)
                    after = await steps_taken(bench, room.id)
                    assert code >= DIED, f"it did not come that far but ended with {code}: see its traceback"
                    if moment == "deciding":
                        assert after == before, "what was not decided yet is not written"
                    if moment == "answered":
                        assert after == before + 1, "what was answered is there"
                        # The last looks are those of a storage that is writing already.
                        moments += [number for number in (code - DIED, code - DIED - 2, code - DIED - 5) if number > 0]
                    assert await step(bench, room.id) == after + 1
        async with self.bench(tmp_path) as later:
            assert await steps_taken(later, room.id) == after + 1
            assert await step(later, room.id) == after + 2

    async def test_a_call_that_is_cancelled_leaves_all_of_its_change_or_nothing(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            for pause in PAUSES:
                before = await steps_taken(bench, room.id)
                answered: list[int] = []

                async def neighbour(answered: list[int] = answered) -> None:
                    answered.append(await step(bench, room.id))

                async with anyio.create_task_group() as tasks:
                    scopes = [anyio.CancelScope() for _ in range(8)]
                    for scope in scopes:
                        tasks.start_soon(_within, scope, bench, room.id)
                        tasks.start_soon(neighbour)
                    for _ in range(pause):
                        await anyio.lowlevel.checkpoint()
                    for scope in scopes:
                        scope.cancel()
                after = await steps_taken(bench, room.id)
                assert len(answered) == 8, "who stays gets an answer"
                assert before + 8 <= after <= before + 16
                assert await step(bench, room.id) == after + 1
            await self._assert_reopened(bench, tmp_path, room.id)

    async def test_a_call_that_is_cancelled_once_it_has_decided_leaves_all_of_its_change_or_nothing(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            for pause in PAUSES:
                before = await step(bench, room.id)
                decided = False

                def decide(scene: Scene) -> Changes[int]:
                    nonlocal decided
                    draft = Draft(scene, bench.clock())
                    number = take_step(draft)
                    decided = True
                    return draft.done(number)

                scope = anyio.CancelScope()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_within, scope, bench, room.id, decide)
                    while not decided:
                        await anyio.lowlevel.checkpoint()
                    for _ in range(pause):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
                after = await steps_taken(bench, room.id)
                assert after in (before, before + 1)
                assert await step(bench, room.id) == after + 1
            await self._assert_reopened(bench, tmp_path, room.id)

    async def test_a_decision_that_raises_leaves_nothing_of_its_change_whenever_it_raises(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()

            def decide(scene: Scene, late: bool) -> Changes[int]:
                if late:
                    take_step(Draft(scene, bench.clock()))
                raise LookupError("no")

            async def fail(late: bool) -> None:
                with pytest.raises(LookupError, match=r"^no$"):
                    await bench.storage.change(APP, room.id, Needs(), lambda scene: decide(scene, late))

            calls: list[Callable[[], Awaitable[object]]] = [partial(step, bench, room.id), partial(fail, True), partial(fail, False)]
            assert failures(await together(*calls * 3)) == []
            assert await steps_taken(bench, room.id) == 3
            await self._assert_reopened(bench, tmp_path, room.id)

    async def test_what_is_under_way_when_the_storage_is_closed_happens_wholly_or_says_that_it_did_not(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, answered = await bench.conversation(), 0
            for pause in PAUSES[::2]:

                async def close(pause: int = pause) -> None:
                    for _ in range(pause):
                        await anyio.lowlevel.checkpoint()
                    await bench.storage.close()

                writes: list[Callable[[], Awaitable[object]]] = [partial(step, bench, room.id)] * 6
                reads: list[Callable[[], Awaitable[object]]] = [partial(bench.stored, room), partial(bench.log, room.id)] * 2
                outcomes = await together(*writes, *reads, close, *writes)
                for outcome in outcomes:
                    if isinstance(outcome, Exception):
                        assert isinstance(outcome, StorageUnavailable | ConfigurationError), f"a call during close() raised {outcome!r}"
                        assert not isinstance(outcome, OutcomeUnknown), "close() lets what is under way come to an end that is known"
                answered += sum(isinstance(outcome, int) for outcome in outcomes)
                await bench.storage.open()
                assert await steps_taken(bench, room.id) == answered, "what was answered is there, and what raised is not"
            await self._assert_reopened(bench, tmp_path, room.id)

    async def _assert_reopened(self, bench: Bench, folder: Path, room_id: str) -> None:
        """Check that another storage on the same data shows the same steps, all of them whole, and goes on."""
        number = await steps_taken(bench, room_id)
        capable = bench.storage.capabilities
        if capable.durable and capable.several_processes:
            async with self.bench(folder) as later:
                assert await steps_taken(later, room_id) == number
                assert await step(later, room_id) == number + 1
        else:
            assert await step(bench, room_id) == number + 1


async def _within(scope: anyio.CancelScope, bench: Bench, room_id: str, decide: Callable[[Scene], Changes[int]] | None = None) -> None:
    with scope:
        if decide is None:
            await step(bench, room_id)
        else:
            await bench.storage.change(APP, room_id, Needs(), decide)
