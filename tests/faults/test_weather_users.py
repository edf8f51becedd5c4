"""Users whom another process deletes or renames while they come: nobody is a member without being a user, or under a name of old."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import text

from conversation_kit_sql import SQLStorage
from tests.faults.weather import SERVERS, open_room, opened, somebody, wait_for_waiting
from tests.support.databases import fresh
from tests.support.sql_probes import writes_held
from tests.support.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]

ELSEWHERE = {
    "deleted": text("DELETE FROM conversation_kit_user WHERE id = :id AND name <> :name"),
    "renamed": text("UPDATE conversation_kit_user SET name = :name WHERE id = :id"),
}
WAYS = {
    "joins by id": (False, "join", "user_id"),
    "joins by name": (False, "join", "user_name"),
    "is made to join by id": (True, "join", "user_id"),
    "is made to join by name": (True, "join", "user_name"),
    "is invited by id": (True, "invite", "user_id"),
    "is invited by name": (True, "invite", "user_name"),
}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("what", ELSEWHERE)
async def test_who_is_deleted_or_renamed_elsewhere_meanwhile_is_no_member_of_old(kind: str, what: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        async with opened(storage := SQLStorage(url, busy_seconds=60)) as room:
            world = room.world
            for way, (is_admin, action, key) in WAYS.items():
                rooms = [await open_room(world, f"{way} {number}") for number in range(2)]
                user = await world.kit.users.create(way)
                who = "admin" if is_admin else way
                body = {"action": action, key: user.id if key == "user_id" else way, "channel": {"type": "app"}}
                answers = await meanwhile(kind, url, storage, world, what, user.id, [(f"{one.path}/members", who, body) for one in rooms])
                names = [member.user_name for one in rooms for member in (await world.kit.members.list(one.id)).items]
                if what == "renamed" and is_admin and key == "user_id":
                    assert (answers, names) == ([201] * 2, [f"{user.id} anew"] * 2), way
                else:
                    assert set(answers) <= {401, 404}, way
                    assert names == [], way


async def meanwhile(
    kind: str, url: str, storage: SQLStorage, world: World, what: str, user_id: str, requests: list[tuple[str, str, dict[str, Any]]]
) -> list[int]:
    """The statuses of requests that go together and wait for somebody who changes the user."""
    statuses: list[int] = []

    async def ask(path: str, who: str, body: dict[str, Any]) -> None:
        statuses.append((await world.call("POST", path, who, json=body)).status_code)

    with somebody(url) as other:
        other.execute(ELSEWHERE[what], {"id": user_id, "name": f"{user_id} anew"})
        async with anyio.create_task_group() as group:
            with writes_held(storage):
                for request in requests:
                    group.start_soon(ask, *request)
                await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(wait_for_waiting, kind, url, other)
            other.commit()
    return statuses
