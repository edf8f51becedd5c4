"""Processes that end in the middle of a change, at once and without any cleaning up."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterable, Iterator
from functools import cache
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.testing.harness.harness import APP, Bench, Contract
from conversation_kit.testing.harness.steps import step, take_step

T = TypeVar("T")
Moment: TypeAlias = Literal["under way", "deciding", "answered"] | int
"""Moment at which a process ends: with calls under way, in a decision, after the answer, or (a number) when the storage takes that many
looks at what was decided, each of its lists and each thing in them being one."""

DIED = 70
"""The exit code of a process that came to its moment; after an answer the number of looks that were taken is added."""


class _Watched(list[T]):
    """A list whose readers are counted, and which ends the process at a certain count."""

    looks = 0
    last = 0

    def __iter__(self) -> Iterator[T]:
        _look()
        for item in super().__iter__():
            _look()
            yield item


def _look() -> None:
    _Watched.looks += 1
    if _Watched.looks == _Watched.last:
        os._exit(DIED)


async def die(contract: Contract, folder: Path, room_id: str, moment: Moment, backend: str) -> int:
    """Have another process open ``contract``'s storage, change the conversation, and end at ``moment``; returns its exit code.

    It opens the storage by an object that is pickled, so the test class must be importable and what its fixtures set must be picklable.
    """
    parcel = pickle.dumps(contract)
    process = _context().Process(target=_live, args=(parcel, str(folder), room_id, moment, backend))  # type: ignore[attr-defined]
    process.start()
    await anyio.to_thread.run_sync(process.join)
    code: int = process.exitcode
    process.close()
    return code


@cache
def _context() -> BaseContext:
    """Return a context whose server of processes has imported all tests of storages already, where the system has such servers."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conversation_kit.testing", *sorted({one.__module__ for one in _heirs(Contract)})])
    return context


def _heirs(of: type[Contract]) -> Iterable[type[Contract]]:
    heir: type[Contract]
    for heir in of.__subclasses__():
        yield heir
        yield from _heirs(heir)


def _live(parcel: bytes, folder: str, room_id: str, moment: Moment, backend: str) -> None:
    anyio.run(_change, pickle.loads(parcel), Path(folder), room_id, moment, backend=backend)
    os._exit(0)


async def _change(contract: Contract, folder: Path, room_id: str, moment: Moment) -> None:
    async with contract.open_storage(folder) as storage:
        await storage.open()
        bench = Bench(storage)
        if moment == "under way":
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(step, bench, room_id)
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                os._exit(DIED)

        def decide(scene: Scene) -> Changes[int]:
            draft = Draft(scene, bench.clock())
            changes = draft.done(take_step(draft))
            if moment == "deciding":
                os._exit(DIED)
            _Watched.last = moment if isinstance(moment, int) else 0
            for name in ("members", "events", "rewritten", "receipts", "legs", "removed_legs"):
                setattr(changes, name, _Watched(getattr(changes, name)))
            return changes

        await storage.change(APP, room_id, Needs(), decide)
        os._exit(DIED + _Watched.looks if moment == "answered" else 0)
