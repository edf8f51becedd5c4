"""Failures: a write that could not be stored has not happened, for readers neither, however late it failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import NotFound, StorageUnavailable
from conversation_kit.domain.models import Conversation, Member, User
from conversation_kit.domain.reading import EventRange, Page
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.harness import APP, LEFT, Bench, Contract, plain
from conversation_kit.testing.harness.writes import create_conversation, create_user, delete_user, update_user

Write: TypeAlias = Callable[[], Awaitable[Any]]


class FailuresContract(Contract):
    """Promises about writes that fail: nothing of them is ever read."""

    @contextmanager
    def no_room(self, folder: Path) -> Iterator[None]:
        """Let writes fail in the block, as on a disk that is full: no file of this process grows beyond its first byte.

        Override it for a storage whose data lie elsewhere. A storage that can write nevertheless keeps the promise as well.
        """
        try:
            import resource
        except ImportError:  # a system without such limits
            yield
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    async def test_a_write_for_which_there_is_no_room_is_never_readable(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            for name, write in (await _writes(bench)).items():
                before = await _everything(bench)
                seen: list[object] = []
                with self.no_room(tmp_path):
                    failed = await _watched(bench, write, seen)
                await _check(bench, name, before, seen, failed)
            last = await _everything(bench)
            if bench.storage.capabilities.durable:
                await bench.storage.close()
                await bench.storage.open()
                assert await _everything(bench) == last, "what was read before it was closed is not what was stored"

    async def test_a_write_of_a_value_that_cannot_be_stored_is_never_readable(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            for value in ("half of a pair \ud83d", "a NUL \0"):
                for name, write in (await _writes(bench, value)).items():
                    before = await _everything(bench)
                    seen: list[object] = []
                    failed = await _watched(bench, write, seen)
                    await _check(bench, f"{name} of {value!r}", before, seen, failed)
                    if failed is None:
                        return  # such values can be stored here, and what comes of reading them is not promised

    async def test_writes_work_again_after_one_that_failed(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation("room")
            await bench.say(room.id, "before")
            stored = 1
            with self.no_room(tmp_path):
                for _ in range(3):
                    try:
                        await bench.say(room.id, "no room")
                        stored += 1
                    except Exception:
                        pass
            (event,) = await bench.say(room.id, "after")
            assert event.id == stored + 1
            assert [one.id for one in await bench.log(room.id)] == list(range(1, stored + 2))


async def _watched(bench: Bench, write: Write, seen: list[object]) -> Exception | None:
    """Carry out a write while others read, and return what it raised."""
    done = False
    failed: Exception | None = None

    async def read() -> None:
        while not done:
            try:
                with suppress(StorageUnavailable):  # which says nothing wrong
                    seen.append(await _everything(bench))
            except NotFound as error:
                seen.append(error)  # what was listed was gone a moment later
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.lowlevel.checkpoint()
        try:
            await write()
        except Exception as error:
            failed = error
        with suppress(StorageUnavailable):
            seen.append(await _everything(bench))
        done = True
    return failed


async def _check(bench: Bench, name: str, before: object, seen: list[object], failed: Exception | None) -> None:
    after = await _everything(bench)
    if failed is None:
        assert after != before, f"{name} returned, and nothing of it can be read"
    else:
        assert after == before, f"{name} raised {failed!r}, and can be read nevertheless"
        assert all(one == before for one in seen), f"{name} raised {failed!r}, and could be read for a while"


async def _everything(bench: Bench) -> object:
    """Return all that can be read of the application."""
    storage, page = bench.storage, Page(size=1000)
    rooms = (await storage.list_conversations(APP, page, bench.clock())).items
    logs = [(await storage.list_events(bench.access(), room.id, EventRange(size=1000))).text for room in rooms]
    members = [(await storage.get_conversation(bench.access(), room.id, 1000))[1] for room in rooms]
    users, legs = (await storage.list_users(APP, page)).items, (await storage.list_legs(APP, page)).items
    return plain([list(rooms), logs, members, list(users), list(legs)])


async def _writes(bench: Bench, value: str = "hello") -> dict[str, Write]:
    """Return every kind of write, in an order in which all of them can be carried out."""
    room = await bench.conversation()
    ana, bo = [await bench.user(new_id("NAM")) for _ in range(2)]
    member: Member = await bench.member(room, ana)
    leg = bench.make_leg(conversation_id=room.id, network=value)
    storage = bench.storage

    def leave(draft: Draft) -> None:
        draft.save_member(replace(member, state=LEFT, left=draft.now, media={"note": value}))
        draft.append("member:left", {"reason": value}, sender=member.id)

    def rename(draft: Draft) -> None:
        draft.update(display_name=value, properties={"note": value})

    def call(draft: Draft) -> None:
        draft.save_leg(leg)

    return {
        "an event": partial(bench.say, room.id, value),
        "a conversation's new attributes": partial(bench.edit, room.id, rename),
        "a leg": partial(bench.edit, room.id, call),
        "a member that leaves": partial(bench.edit, room.id, leave, Needs(members=(member.id,))),
        "a new conversation": partial(create_conversation, storage, Conversation(APP, new_id("CON"), new_id("NAM") + value, bench.tick())),
        "a new user": partial(create_user, storage, User(APP, new_id("USR"), new_id("NAM") + value, bench.tick())),
        "a user's new attributes": partial(update_user, storage, APP, ana.id, lambda user: replace(user, display_name=value)),
        "a user that goes": partial(delete_user, storage, APP, bo.id),
        "a conversation that goes": partial(bench.destroy, room),
    }
