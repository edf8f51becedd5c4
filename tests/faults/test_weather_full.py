"""A database that is full, or takes no writes: 503 for writes, answers for reads, and good again once there is room."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from sqlalchemy import event

from conversation_kit_sql import SQLStorage
from tests.faults.weather import SERVERS, assert_failed, assert_unavailable, first_good, opened, somebody
from tests.support.databases import fresh
from tests.support.processes import DEADLINE, serve
from tests.support.sql_probes import driver_connection_of, engine_of
from tests.support.world import APP, keys, token

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]


async def test_a_full_disk_refuses_writes_only(tmp_path: Path) -> None:
    async with opened(storage := SQLStorage(f"sqlite:///{tmp_path}/chat.db")) as room:
        pages = 1 << 30

        def limit(connection: Any, record: Any = None, proxy: Any = None) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")

        event.listen(engine_of(storage), "checkout", limit)
        limit(driver_connection_of(storage))
        for turn in range(2):
            await room.say(f"{turn} before")
            pages = 1  # which is taken as: no more than there are
            limit(driver_connection_of(storage))
            statuses = []
            for number in range(20):
                statuses.append((await room.post(f"{turn} {number} " + "x" * 1000)).status_code)
            assert statuses[-1] == 503
            assert (await room.read()).status_code == 200
            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(room.post, f"{turn} at once {number} " + "x" * 20_000)
            pages = 1 << 30
            await first_good(lambda turn=turn: room.post(f"{turn} after"))  # type: ignore[misc]
            await room.check()


def sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.glob("chat.db*")]


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_whose_disk_was_full_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A real server may write no file beyond a size, until it may again."""
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    arguments = ("--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", f"sqlite:///{tmp_path}/chat.db")
    with serve(tmp_path, *arguments) as server:
        headers = {"Authorization": f"Bearer {token(APP)}"}
        async with httpx2.AsyncClient(base_url=f"{server.url}/beta", headers=headers, timeout=DEADLINE, trust_env=False) as client:
            room = (await client.post("/conversations", json={"name": "room"})).json()["id"]
            acknowledged: list[str] = []

            async def post(text: str) -> httpx2.Response:
                answer = await client.post(f"/conversations/{room}/events", json={"type": "text", "body": {"text": text}})
                if answer.status_code == 201:
                    acknowledged.append(text)
                return answer

            await post("before")
            largest = max(sizes(tmp_path))
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            for pid in server.workers:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + 50_000, hard))
            number = 0
            while (answer := await post(f"{number} " + "x" * 1000)).status_code == 201:
                number += 1
                assert number < 200, "The limit is none."
            # SQLite takes a limit on a file's size for a broken disk, after which it is not known what a commit has written.
            assert_failed(answer)
            assert_failed(await post("still full " + "x" * 1000))
            listed = await client.get(f"/conversations/{room}/events", params={"page_size": 100})
            assert listed.status_code == 200
            for pid in server.workers:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            await first_good(lambda: post("after"))
            texts: list[str] = []
            while page := (await client.get(f"/conversations/{room}/events", params={"page_size": 100, "start_id": len(texts) + 1})).json():
                texts += [event["body"]["text"] for event in page]
            assert [text for text in texts if text in acknowledged] == acknowledged
            assert len(set(texts)) == len(texts)
        assert "Traceback" not in server.text()


FAILURES: dict[str, list[str | int]] = {
    "postgresql": ["53100", "53200", "25006", "57P03", "40001", "40P01"],
    "mariadb": [1114, 1021, 1290, 1836, 1213],
}
"""Disk full, no memory, read only, shutting down, and conflicts that do not end."""


@pytest.mark.parametrize("kind", SERVERS)
async def test_what_a_server_says_when_it_cannot_write_is_unavailable(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url)) as room:
            await room.say("before")
            for code in FAILURES[kind]:
                with somebody(url) as connection:
                    for statement in fail_with(kind, code):
                        connection.exec_driver_sql(statement)
                    connection.commit()
                    assert_unavailable(await room.post(f"meanwhile {code}"))
                    assert (await room.read()).status_code == 200
                    connection.exec_driver_sql("DROP TRIGGER failing" + (" ON conversation_kit_event" if kind == "postgresql" else ""))
                    connection.commit()
                await first_good(lambda code=code: room.post(f"after {code}"))  # type: ignore[misc]
            assert len(await room.check()) == 1 + len(FAILURES[kind])


def fail_with(kind: str, code: str | int) -> list[str]:
    """Statements that make every new event fail like this."""
    if kind == "mariadb":
        return [
            "CREATE TRIGGER failing BEFORE INSERT ON conversation_kit_event FOR EACH ROW "
            f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'for a test'"
        ]
    return [
        "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'for a test' USING ERRCODE = '{code}'; END $$",
        "CREATE TRIGGER failing BEFORE INSERT ON conversation_kit_event FOR EACH ROW EXECUTE FUNCTION fail()",
    ]
