"""What the contract cannot know of the storage that writes lines of JSON: its file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from conversation_kit import ConversationKit, StorageUnavailable
from examples.custom_storage import JsonLinesStorage
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio


def kit_on(path: Path) -> ConversationKit:
    return make_kit(JsonLinesStorage(path))


async def names(kit: ConversationKit) -> list[str]:
    return [conversation.name for conversation in (await kit.conversations.list()).items]


async def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    async with kit_on(path).lifespan():
        pass
    kit = kit_on(path)
    async with kit.lifespan():
        await kit.conversations.create("one")
        await kit.conversations.create("two")
    whole = path.read_bytes()
    second = whole.splitlines(keepends=True)[1]
    for kept in range(len(second)):
        path.write_bytes(whole[: len(whole) - len(second) + kept])
        kit = kit_on(path)
        async with kit.lifespan():
            assert await names(kit) == ["one"]
    async with kit.lifespan():
        await kit.conversations.create("three")
    kit = kit_on(path)
    async with kit.lifespan():
        assert await names(kit) == ["one", "three"]


async def test_a_disk_that_fails_is_told_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "chat.jsonl"
    kit = kit_on(path)
    async with kit.lifespan():
        await kit.conversations.create("one")
        before = path.read_bytes()

        def fail(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(StorageUnavailable, match="No space left"):
                await kit.conversations.create("two")
        assert path.read_bytes() == before
        assert await names(kit) == ["one"]
        await kit.conversations.create("two")
        assert await names(kit) == ["one", "two"]


async def test_a_line_of_somebody_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"hello": "world"}\n')
    with pytest.raises(StorageUnavailable, match="hello"):
        await kit_on(path).conversations.list()
