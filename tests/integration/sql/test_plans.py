"""What SQLite looks at: the statements of every day find their rows by an index, however many rows there are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest
from sqlalchemy import create_engine, event

from conversation_kit import ConversationKit, HostAuthenticator
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.values.times import now
from conversation_kit_sql import SQLStorage

pytestmark = pytest.mark.anyio


async def test_posting_and_reading_find_rows_by_their_whole_keys(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/plans.db")
    ran: list[str] = []
    # The driver's own, because the statements of the hot paths go past the engine's listeners.
    event.listen(engine, "connect", lambda connection, record: connection.set_trace_callback(ran.append))

    kit = ConversationKit(storage=SQLStorage(engine), auth=HostAuthenticator(lambda scope: None))
    async with kit.lifespan():
        rooms = [(await kit.conversations.create(name)).id for name in ("one", "two", "three")]
        for name in ("ana", "max"):
            await kit.users.create(name)
            for room in rooms:
                await kit.members.join(room, user_name=name)
        ran.clear()
        async with anyio.create_task_group() as group:
            for name in ("ana", "max"):
                for room in rooms:
                    group.start_soon(partial(kit.as_user(name).events.create, room, "text", {"text": "hello"}))
        await kit.as_user("ana").events.create(rooms[0], "text:seen", {"event_id": 3})
        for descending in (False, True):
            await kit.as_user("ana").events.page(rooms[0], EventRange(descending=descending))
            await kit.events.page(rooms[0], EventRange(descending=descending))
        assert len(await kit.storage.sequence_numbers("default", rooms, now())) == 3
    seen = {statement for statement in ran if statement.startswith(("SELECT", "UPDATE"))}
    assert len(seen) > 8
    with engine.connect() as connection:
        steps = [(row[3], statement) for statement in seen for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    engine.dispose()
    for step, statement in steps:
        assert not step.startswith("SCAN conversation_kit_"), (step, statement)
        if step.startswith("SEARCH conversation_kit_"):
            assert step.count("=?") + step.count("<?") >= 2, (step, statement)
        if step.startswith("SEARCH conversation_kit_member"):
            assert "conversation_id=? AND" in step, (step, statement)
