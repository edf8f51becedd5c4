"""Clients that go away at any moment: all of what they asked for happens or nothing, and the others do not notice.

``CONVERSATION_KIT_CANCEL_ROUNDS`` says how often, ``CONVERSATION_KIT_CANCEL_SEED`` when exactly.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from conversation_kit_sql import SQLStorage
from tests.faults.weather import Room, opened
from tests.support.databases import SQL, fresh

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_tracebacks")]
ROUNDS = int(os.environ.get("CONVERSATION_KIT_CANCEL_ROUNDS", "12"))
SEED = int(os.environ.get("CONVERSATION_KIT_CANCEL_SEED") or random.randrange(2**32))
CLIENTS = 8
MOST = 60
"""How many turns of the event loop a client waits at most."""


@pytest.mark.parametrize("kind", SQL)
async def test_a_request_that_is_cancelled_at_any_moment_leaves_all_or_nothing(kind: str, tmp_path: Path) -> None:
    print(f"CONVERSATION_KIT_CANCEL_SEED={SEED}")
    chance = random.Random(SEED)
    with fresh(kind, tmp_path) as url:
        async with opened(SQLStorage(url)) as room:
            answered: set[str] = set()
            names: list[str] = []
            for turn in range(ROUNDS):
                with anyio.fail_after(30):
                    async with anyio.create_task_group() as group:
                        for client in range(CLIENTS):
                            name = f"user-{turn}-{client}"
                            names.append(name)
                            scope = anyio.CancelScope()
                            group.start_soon(join, room, name, scope, answered)
                            if client % 4:
                                group.start_soon(leave, scope, chance.randint(0, MOST), chance.random() * 0.01)
                # The others do not notice.
                await room.world.json("GET", "/users", params={"page_size": 1})
            await check(room, names, answered)


async def join(room: Room, name: str, scope: anyio.CancelScope, answered: set[str]) -> None:
    """A change of several rows: a member, an event, the conversation's counters. Its client may go away."""
    with scope:
        created = await room.world.call("POST", "/users", json={"name": name})
        assert created.status_code == 200, created.text
        member = {"action": "join", "user_name": name, "channel": {"type": "app"}}
        joined = await room.world.call("POST", f"{room.path}/members", json=member)
        assert joined.status_code == 201, joined.text
        answered.add(name)


async def leave(scope: anyio.CancelScope, turns: int, seconds: float) -> None:
    """Cancel at a turn of the event loop, and half of the time while a worker thread is at it."""
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    if turns % 2:
        await anyio.sleep(seconds)
    scope.cancel()


async def check(room: Room, names: list[str], answered: set[str]) -> None:
    kit = room.world.kit
    await room.say("works on")
    joined: list[str] = []
    ids: list[int] = []
    while page := await room.world.json("GET", f"{room.path}/events", params={"page_size": 100, "start_id": len(ids) + 1}):
        ids += [int(event["id"]) for event in page]
        joined += [event["body"]["user"]["name"] for event in page if event["type"] == "member:joined"]
    assert ids == list(range(1, len(ids) + 1))
    assert len(set(joined)) == len(joined)
    # The event is there where the member is, and nowhere else.
    rows: list[Any] = []
    while page := await room.world.json("GET", f"{room.path}/members", params={"page_size": 100, "record_index": len(rows)}):
        rows += page
    members = [row["user_name"] for row in rows if row["state"].lower() == "joined"]
    assert sorted(members) == sorted(joined)
    assert answered <= set(joined) <= set(names)
    assert len(answered) >= len(names) // 4
    assert (await kit.conversations.get(room.id)).sequence_number == len(ids)
