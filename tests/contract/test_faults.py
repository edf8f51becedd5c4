"""Storages with a fault that their author would not see: the contract does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from conversation_kit import MemoryStorage, Storage, StorageUnavailable
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.testing.storage.guarantees.failures import FailuresContract

pytestmark = pytest.mark.anyio


class Hasty(MemoryStorage):
    """Changes the memory that everybody reads, and only then writes to its file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def write(self, what: object) -> None:
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(repr(what).encode() + b"\n")
        except (OSError, UnicodeEncodeError) as error:
            raise StorageUnavailable(str(error)) from error

    async def append(self, what: object) -> None:
        await anyio.to_thread.run_sync(self.write, what)

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[Any]) -> Changes[Any]:
        changes = await super().change(application_id, conversation_id, needs, decide)
        if replace(changes, result=None, signals=()) != Changes(None):
            await self.append(changes)
        return changes


class HastyWithUsers(Hasty):
    """As ``Hasty``, but only with users."""

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[Any]) -> Changes[Any]:
        changes = await MemoryStorage.change(self, application_id, conversation_id, needs, decide)
        if changes.new_users:
            await self.append(changes)
        return changes


class TakesBack(Hasty):
    """Takes back what it could not write, but has shown it meanwhile."""

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[Any]) -> Changes[Any]:
        changes = await MemoryStorage.change(self, application_id, conversation_id, needs, decide)
        if changes.new_conversation is not None:
            try:
                await self.append(changes)
            except StorageUnavailable:
                gone: Callable[..., Changes[None]] = lambda scene: Changes(None, destroyed=True)  # noqa: E731
                await MemoryStorage.change(self, application_id, conversation_id, Needs(), gone)
                raise
        return changes


@pytest.mark.parametrize(
    ("storage", "found"),
    [
        (Hasty, "an event raised .* and can be read"),
        (HastyWithUsers, "a new user raised"),
        (TakesBack, "a new conversation raised .* for a while"),
    ],
)
async def test_a_write_that_fails_and_can_be_read_is_found(tmp_path: Path, storage: type[Hasty], found: str) -> None:
    class Suite(FailuresContract):
        @asynccontextmanager
        async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
            yield storage(folder / "log")

    with pytest.raises(AssertionError, match=found):
        await Suite().test_a_write_for_which_there_is_no_room_is_never_readable(tmp_path)


async def test_a_write_that_fails_for_its_value_and_can_be_read_is_found(tmp_path: Path) -> None:
    class Encoding(Hasty):
        def write(self, what: object) -> None:
            str(what).encode("utf-8") if not isinstance(what, Changes) else "".join(event.data for event in what.events).encode()

    class Suite(FailuresContract):
        @asynccontextmanager
        async def open_storage(self, folder: Path) -> AsyncIterator[Storage]:
            yield Encoding(folder / "log")

    with pytest.raises(AssertionError, match=r"an event of 'half of a pair .* and can be read"):
        await Suite().test_a_write_of_a_value_that_cannot_be_stored_is_never_readable(tmp_path)
