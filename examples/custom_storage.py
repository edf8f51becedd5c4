"""A storage of your own: everything that was committed as lines of JSON in one file.

    python examples/custom_storage.py

The state lives in a `MemoryStorage`, which knows all the rules; the file is what makes it durable. One operation at a time has
the file to itself, also among several processes: it reads what others appended, does its work, and appends a line, which is on
the disk before the operation answers. `tests/contract/test_custom_storage.py` runs the contract of storages on it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from conversation_kit import (
    Capabilities,
    Changes,
    ConfigurationError,
    ConversationKit,
    HostAuthenticator,
    MemoryStorage,
    Needs,
    RequestError,
    StorageUnavailable,
)
from conversation_kit.domain.scene import Decide

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Line:
    """One committed operation; what does not belong to it is left out of the file."""

    application_id: str
    conversation_id: str | None = None
    changes: Changes[None] | None = None
    spent: tuple[str, datetime] | None = None


LINE = TypeAdapter(Line)
NOTHING: Changes[None] = Changes(None)


def _read(
    method: Callable[Concatenate[MemoryStorage, P], Awaitable[T]],
) -> Callable[Concatenate[JsonLinesStorage, P], Coroutine[Any, Any, T]]:
    """Wrap the method such that it sees an up-to-date state."""

    async def read(self: JsonLinesStorage, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._alone() as memory:
            return await method(memory, *args, **kwargs)

    return read


class JsonLinesStorage:
    """Storage in the file at ``path``, for systems with ``flock``.

    Good for thousands of events, not for millions.
    """

    capabilities = Capabilities(durable=True, several_processes=True)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._lock = anyio.Lock()
        self._forget()

    def _forget(self) -> None:
        self._memory = MemoryStorage()
        self._known = 0  # bytes of the file that the memory has seen

    async def open(self) -> None:
        """Open the file and read it; it is made if it does not exist."""
        async with self._lock:
            if self._file is None:
                self._forget()
                self._file = await anyio.to_thread.run_sync(self._open)
        try:
            async with self._alone():
                pass
        except StorageUnavailable:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file."""
        async with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[MemoryStorage]:
        """Give the memory as the file has it, for one operation alone.

        Nobody sees what an operation did to the memory before its line is on the disk; when that fails, the memory is built anew.
        """
        # Shielded, for a caller that goes away must not separate the memory from the file.
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if self._file is None:
                    raise ConfigurationError("The storage is not open: await storage.open() first.")
                try:
                    for line in await anyio.to_thread.run_sync(self._take_up, self._file):
                        await self._redo(line)
                    yield self._memory
                except OSError as error:
                    self._forget()
                    raise StorageUnavailable(f"{self._path}: {error}") from error
                except RequestError:
                    raise  # a decision's, which has changed nothing
                except BaseException:
                    self._forget()
                    raise
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    async def _append(self, line: Line) -> None:
        assert self._file is not None
        data = LINE.dump_json(line, exclude_defaults=True) + b"\n"
        await anyio.to_thread.run_sync(_write, self._file, data, self._known)
        self._known += len(data)

    async def _redo(self, data: bytes) -> None:
        try:
            line = LINE.validate_json(data)
        except ValidationError as error:
            self._forget()
            raise StorageUnavailable(f"{self._path} holds a line that is none of ours: {data[:80]!r}") from error
        memory, application_id = self._memory, line.application_id
        if line.changes is not None:
            changes = line.changes
            await memory.change(application_id, line.conversation_id, Needs(), lambda scene: changes)
        elif line.spent is not None:
            mark, until = line.spent
            await memory.spend(application_id, mark, until, datetime.min.replace(tzinfo=UTC))

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Changes[T]:
        """See ``Storage.change``."""
        async with self._alone() as memory:
            changes: Changes[Any] = await memory.change(application_id, conversation_id, needs, decide)
            stored = replace(changes, result=None, signals=())
            if stored != NOTHING:
                # A change that was asked for by a leg says itself in which conversation something is new.
                there = changes.conversation.id if changes.conversation is not None else conversation_id
                await self._append(Line(application_id, there, stored))
            return changes

    async def spend(self, application_id: str, mark: str, until: datetime, now: datetime) -> bool:
        """See ``Storage.spend``."""
        async with self._alone() as memory:
            first = await memory.spend(application_id, mark, until, now)
            if first:
                await self._append(Line(application_id, spent=(mark, until)))
            return first

    get_conversation = _read(MemoryStorage.get_conversation)
    list_conversations = _read(MemoryStorage.list_conversations)
    expired_conversations = _read(MemoryStorage.expired_conversations)
    get_user = _read(MemoryStorage.get_user)
    list_users = _read(MemoryStorage.list_users)
    sequence_numbers = _read(MemoryStorage.sequence_numbers)
    list_memberships = _read(MemoryStorage.list_memberships)
    newest_memberships = _read(MemoryStorage.newest_memberships)
    list_exclusions = _read(MemoryStorage.list_exclusions)
    list_blocks = _read(MemoryStorage.list_blocks)
    list_members = _read(MemoryStorage.list_members)
    get_member = _read(MemoryStorage.get_member)
    list_events = _read(MemoryStorage.list_events)
    get_event = _read(MemoryStorage.get_event)
    get_answer = _read(MemoryStorage.get_answer)
    list_legs = _read(MemoryStorage.list_legs)
    get_leg = _read(MemoryStorage.get_leg)

    def _open(self) -> FileIO:
        file = FileIO(self._path, "a+")
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)  # or a crash may take a new file's name away
        finally:
            os.close(directory)
        return file

    def _take_up(self, file: FileIO) -> list[bytes]:
        """Lock the file and read the lines that are new. An unfinished one is what a crash has left, and never was answered."""
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(self._known)
        *lines, torn = file.readall().split(b"\n")
        self._known += sum(len(line) + 1 for line in lines)
        if torn:
            file.truncate(self._known)
        return lines


def _write(file: FileIO, data: bytes, end: int) -> None:
    try:
        if file.write(data) != len(data):
            raise OSError("the line could not be written whole")
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        raise


async def main() -> None:
    with TemporaryDirectory() as folder:
        path = anyio.Path(folder, "chat.jsonl")
        for visit in ("first", "second"):
            kit = ConversationKit(storage=JsonLinesStorage(Path(path)), auth=HostAuthenticator(lambda scope: None))
            async with kit.lifespan():
                await kit.conversations.create(f"the {visit} visit")
                print([conversation.name for conversation in (await kit.conversations.list()).items])
        print(await path.read_text(), end="")


if __name__ == "__main__":
    anyio.run(main)
