"""An SQLite file that is deleted or replaced under a storage that has it open."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conversation_kit import ConversationKit, NotFound, StorageUnavailable
from conversation_kit_sql import SQLStorage
from conversation_kit_sql.database import file_watch
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio


async def say(kit: ConversationKit, room: str, text: str) -> None:
    await kit.events.create(room, "text", {"text": text})


async def texts(kit: ConversationKit, room: str) -> list[str]:
    return [event.body["text"] for event in await kit.events.list(room)]


def move(file: Path, to: Path) -> None:
    os.replace(file, to)


async def test_nothing_is_acknowledged_once_the_file_is_deleted_and_that_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit = make_kit(SQLStorage(f"sqlite:///{tmp_path}/chat.db"))
    async with kit.lifespan():
        room = (await kit.conversations.create("room")).id
        await say(kit, room, "kept")
        move(tmp_path / "chat.db", tmp_path / "away.db")
        for _ in range(3):
            with pytest.raises(StorageUnavailable, match=r"chat\.db is gone: put it back"):
                await say(kit, room, "lost")
            with pytest.raises(StorageUnavailable):
                await kit.conversations.create("another")
        assert caplog.text.count("was deleted while it is in use") == 1
        assert not (tmp_path / "chat.db").exists()
        move(tmp_path / "away.db", tmp_path / "chat.db")
        await say(kit, room, "back")
        assert await texts(kit, room) == ["kept", "back"]


async def test_a_file_that_is_put_in_its_place_is_read_and_written_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_watch, "LOOK_SECONDS", 0.0)
    kit = make_kit(SQLStorage(f"sqlite:///{tmp_path}/chat.db"))
    async with kit.lifespan():
        room = (await kit.conversations.create("room")).id
        await say(kit, room, "before the copy")
        with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
        await say(kit, room, "after the copy")
        later = (await kit.conversations.create("later")).id
        for name in ("chat.db-wal", "chat.db-shm"):
            (tmp_path / name).unlink()
        move(tmp_path / "copy.db", tmp_path / "chat.db")
        assert await texts(kit, room) == ["before the copy"]
        with pytest.raises(NotFound):
            await kit.conversations.get(later)
        await say(kit, room, "in the new one")
        assert await texts(kit, room) == ["before the copy", "in the new one"]
        assert caplog.text.count("was replaced while it is in use") == 1
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        assert connection.execute("SELECT count(*) FROM conversation_kit_event").fetchone() == (2,)
