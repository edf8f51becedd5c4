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
    Conversation,
    ConversationKit,
    HostAuthenticator,
    MemoryStorage,
    Needs,
    StorageUnavailable,
    User,
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
    new_conversation: Conversation | None = None
    new_user: User | None = None
    updated_user: User | None = None
    deleted_user: str | None = None


LINE = TypeAdapter(Line)
NOTHING: Changes[None] = Changes(None)


def _read(
    method: Callable[Concatenate[MemoryStorage, P], Awaitable[T]],
) -> Callable[Concatenate[JsonLinesStorage, P], Coroutine[Any, Any, T]]:
    """The same method, with an up-to-date state."""

    async def read(self: JsonLinesStorage, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._turn() as memory:
            return await method(memory, *args, **kwargs)

    return read


class JsonLinesStorage:
    """Keeps everything in the file at ``path``, for systems with ``flock``. Good for thousands of events, not for millions."""

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
            async with self._turn():
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
    async def _turn(self) -> AsyncIterator[MemoryStorage]:
        """The memory as the file has it, for one operation alone.

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
        elif line.new_conversation is not None:
            await memory.create_conversation(line.new_conversation)
        elif line.new_user is not None:
            await memory.create_user(line.new_user)
        elif line.updated_user is not None:
            user = line.updated_user
            await memory.update_user(application_id, user.id, lambda old: user)
        elif line.deleted_user is not None:
            await memory.delete_user(application_id, line.deleted_user)

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Changes[T]:
        """See ``Storage.change``."""
        async with self._turn() as memory:
            changes: Changes[Any] = await memory.change(application_id, conversation_id, needs, decide)
            stored = replace(changes, result=None, signals=())
            if stored != NOTHING:
                await self._append(Line(application_id, conversation_id, stored))
            return changes

    async def create_conversation(self, conversation: Conversation) -> None:
        """See ``Storage.create_conversation``."""
        async with self._turn() as memory:
            await memory.create_conversation(conversation)
            await self._append(Line(conversation.application_id, new_conversation=conversation))

    async def create_user(self, user: User) -> None:
        """See ``Storage.create_user``."""
        async with self._turn() as memory:
            await memory.create_user(user)
            await self._append(Line(user.application_id, new_user=user))

    async def update_user(self, application_id: str, user_id: str, update: Callable[[User], User]) -> User:
        """See ``Storage.update_user``."""
        async with self._turn() as memory:
            user = await memory.update_user(application_id, user_id, update)
            await self._append(Line(application_id, updated_user=user))
            return user

    async def delete_user(self, application_id: str, user_id: str) -> bool:
        """See ``Storage.delete_user``."""
        async with self._turn() as memory:
            deleted = await memory.delete_user(application_id, user_id)
            if deleted:
                await self._append(Line(application_id, deleted_user=user_id))
            return deleted

    get_conversation = _read(MemoryStorage.get_conversation)
    list_conversations = _read(MemoryStorage.list_conversations)
    expired_conversations = _read(MemoryStorage.expired_conversations)
    get_user = _read(MemoryStorage.get_user)
    list_users = _read(MemoryStorage.list_users)
    sequence_numbers = _read(MemoryStorage.sequence_numbers)
    list_memberships = _read(MemoryStorage.list_memberships)
    list_members = _read(MemoryStorage.list_members)
    get_member = _read(MemoryStorage.get_member)
    list_events = _read(MemoryStorage.list_events)
    get_event = _read(MemoryStorage.get_event)
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
