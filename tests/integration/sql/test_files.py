"""Who may read the files of an SQLite storage."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversation_kit import ConversationKit, HostAuthenticator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def use(file: Path) -> dict[str, int]:
    """The rights of all files while the storage is open and has written."""
    kit = ConversationKit(storage=f"sqlite:///{file}", auth=HostAuthenticator(lambda scope: None))
    async with kit.lifespan():
        await kit.conversations.create("room")
        return rights(file.parent)


async def test_files_that_the_kit_makes_are_for_their_owner(tmp_path: Path) -> None:
    found = await use(tmp_path / "chat.db")
    assert {"chat.db", "chat.db-wal", "chat.db-shm"} <= found.keys()
    assert set(found.values()) == {0o600}


async def test_a_file_that_is_there_keeps_its_rights_and_those_beside_it_have_the_same(tmp_path: Path) -> None:
    (tmp_path / "chat.db").touch()
    (tmp_path / "chat.db").chmod(0o640)
    assert set((await use(tmp_path / "chat.db")).values()) == {0o640}
