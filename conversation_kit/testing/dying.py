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

from conversation_kit.domain.scene import Changes, Draft, Needs, Scene
from conversation_kit.testing.bench import APP, Bench, Contract
from conversation_kit.testing.steps import step, take_step

T = TypeVar("T")
Moment: TypeAlias = Literal["under way", "deciding", "decided", "answered"]
MOMENTS: tuple[Moment, ...] = ("under way", "deciding", "decided", "answered")
"""When a process ends: with calls under way, in a decision, while the storage looks at what was decided, or after the answer."""

DIED = 77
"""The exit code of a process that came to its moment."""


class _Fatal(list[T]):
    """A list that ends the process when somebody goes through it."""

    def __iter__(self) -> Iterator[T]:
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
    """A server of processes that has imported all tests of storages already, where the system has such servers."""
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
            if moment == "decided":
                changes.receipts = _Fatal(changes.receipts)
            return changes

        await storage.change(APP, room_id, Needs(), decide)
        os._exit(DIED if moment == "answered" else 0)
