"""What SQLite looks at: the statements of every day find their rows by an index, however many rows there are."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import create_engine, event

from conversation_kit import ConversationKit, HostAuthenticator
from conversation_kit.domain.reading import EventRange
from conversation_kit_sql import SQLStorage

pytestmark = pytest.mark.anyio


async def test_posting_and_reading_find_rows_by_their_whole_keys(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/plans.db")
    seen: dict[str, Any] = {}

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            seen[statement] = parameters[0] if executemany else parameters

    kit = ConversationKit(storage=SQLStorage(engine), auth=HostAuthenticator(lambda scope: None))
    async with kit.lifespan():
        rooms = [(await kit.conversations.create(name)).id for name in ("one", "two", "three")]
        for name in ("ana", "max"):
            await kit.users.create(name)
            for room in rooms:
                await kit.members.join(room, user_name=name)
        event.listen(engine, "before_cursor_execute", note)
        async with anyio.create_task_group() as group:
            for name in ("ana", "max"):
                for room in rooms:
                    group.start_soon(partial(kit.as_user(name).events.create, room, "text", {"text": "hello"}))
        await kit.as_user("ana").events.create(rooms[0], "text:seen", {"event_id": 3})
        await kit.as_user("ana").events.page(rooms[0], EventRange(descending=True))
        event.remove(engine, "before_cursor_execute", note)
    assert len(seen) > 8
    with engine.connect() as connection:
        steps = [
            (row[3], statement)
            for statement, parameters in seen.items()
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    engine.dispose()
    for step, statement in steps:
        assert not step.startswith("SCAN conversation_kit_"), (step, statement)
        if step.startswith("SEARCH conversation_kit_"):
            assert step.count("=?") + step.count("<?") >= 2, (step, statement)
        if step.startswith("SEARCH conversation_kit_member"):
            assert "conversation_id=? AND" in step, (step, statement)
