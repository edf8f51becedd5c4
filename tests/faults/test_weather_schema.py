"""Tables that are not there are nothing that time will mend: the host is told what to run, and the client that it is not to blame."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversation_kit_sql import SQLStorage
from tests.faults.weather import first_good, opened, somebody
from tests.support.databases import SQL, fresh

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", SQL)
@pytest.mark.parametrize("break_it", ["DROP TABLE {}_event", "ALTER TABLE {}_conversation RENAME COLUMN sequence_number TO other"])
async def test_missing_tables_and_columns_are_logged_with_what_to_run(
    kind: str, break_it: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url)) as room:
            await room.say("before")
            with somebody(url) as connection:
                connection.exec_driver_sql(break_it.format("conversation_kit"))
                connection.commit()
            body = {"type": "text", "body": {"text": "x"}}
            for method, json in (("POST", body), ("GET", None)):
                caplog.clear()
                answer = await room.world.call(method, f"{room.path}/events", json=json)
                assert answer.status_code == 500
                assert answer.json()["code"] == "http:error:internal"
                (record,) = caplog.records
                assert record.exc_info is not None
                assert "conversation-kit migrate" in str(record.exc_info[1])
            # What needs no such table goes on.
            await first_good(lambda: room.world.call("POST", "/users", json={"name": "ana"}))
