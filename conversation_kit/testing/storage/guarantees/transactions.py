"""Transactions: what else happens in that of a write, for storages whose ``capabilities.transactions`` is true."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import Rejected
from conversation_kit.domain.models import Conversation, User
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.ids import new_id
from conversation_kit.ports import TransactionalStorage
from conversation_kit.testing.harness.concurrency import together
from conversation_kit.testing.harness.harness import APP, Bench, Contract
from conversation_kit.testing.harness.writes import create_conversation, create_user, delete_user, update_user


class TransactionsContract(Contract):
    """Promises about ``within``."""

    async def test_the_flag_tells_whether_there_are_transactions(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            assert bench.storage.capabilities.transactions == hasattr(bench.storage, "in_transaction")

    async def test_every_write_does_what_else_there_is_to_do_and_gives_its_result(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            for name, write in (await _writes(bench)).items():
                told: list[Any] = []

                def within(changes: Changes[Any], told: list[Any] = told) -> Callable[[Any], None]:
                    return lambda session: told.append((changes.result, session.flush()))

                result = await write(within=within)
                assert told == [(result, None)], name

    async def test_nothing_is_done_where_there_is_nothing_else_to_do(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            for write in (await _writes(bench)).values():
                await write(within=lambda result: None)
            assert [event.id for event in await bench.log((await _room(bench)).id)] == [1]

    async def test_what_it_raises_undoes_the_write(self, tmp_path: Path) -> None:
        def within(result: Any) -> Callable[[Any], None]:
            return refuse

        def refuse(session: Any) -> None:
            raise Rejected("test:error:no", "No.")

        async with self.bench(tmp_path) as bench:
            writes = await _writes(bench)
            users = (await bench.storage.list_users(APP, Page())).items
            rooms = (await bench.storage.list_conversations(APP, Page(), bench.clock())).items
            for write in writes.values():
                with pytest.raises(Rejected):
                    await write(within=within)
            assert (await bench.storage.list_users(APP, Page())).items == users
            assert (await bench.storage.list_conversations(APP, Page(), bench.clock())).items == rooms
            assert await bench.log(rooms[0].id) == []

    async def test_what_it_raises_is_no_business_of_neighbours(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            change = (await _writes(bench))["change"]

            def within(result: Changes[int]) -> Callable[[Any], None] | None:
                return refuse if result.result % 2 == 0 else None

            def refuse(session: Any) -> None:
                raise ZeroDivisionError

            results = await together(*[partial(change, within=within) for _ in range(10)], *[change for _ in range(10)])
            done = [one for one in results if isinstance(one, int)]
            assert {type(one) for one in results if not isinstance(one, int)} <= {ZeroDivisionError}
            assert len(done) >= 10
            assert sorted(done) == [event.id for event in await bench.log((await _room(bench)).id)]


async def _writes(bench: Bench) -> dict[str, Callable[..., Awaitable[Any]]]:
    """Return a function for every kind of write, good for one time; the change for many."""
    if not bench.storage.capabilities.transactions:
        pytest.skip("the storage has no transactions")
    storage = cast(TransactionalStorage, bench.storage)
    room, ana, bo = await bench.conversation("room"), await bench.user("ana"), await bench.user("bo")
    now = bench.clock()

    def say(scene: Scene) -> Changes[int]:
        draft = Draft(scene, now)
        return draft.done(draft.append("custom:x", {}).id or 0)

    async def change(**more: Any) -> int:
        changes: Changes[int] = await storage.change(APP, room.id, Needs(), say, **more)
        return changes.result

    return {
        "change": change,
        "create_conversation": partial(create_conversation, storage, Conversation(APP, new_id("CON"), "hall", bench.tick())),
        "create_user": partial(create_user, storage, User(APP, new_id("USR"), "cy", bench.tick())),
        "update_user": partial(update_user, storage, APP, ana.id, lambda user: replace(user, display_name="Ana")),
        "delete_user": partial(delete_user, storage, APP, bo.id),
    }


async def _room(bench: Bench) -> Conversation:
    return (await bench.storage.list_conversations(APP, Page(), bench.clock())).items[0]
