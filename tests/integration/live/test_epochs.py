"""A log that was put back to an earlier state: whoever had a part of the other one is told to read again."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from conversation_kit import Feed, InvalidInput, StreamEnded, Subscription
from conversation_kit.live import dispatcher
from tests.integration.live.connections import Connection, nobody_is_left, socket, stream
from tests.integration.live.taking import ids, take
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio

OTHER_LOG = "event:error:other-log"


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has changed is not noticed by those who listen."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 3600)


@pytest.fixture
def quick_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.01)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'chat.db'}"


def remove(file: Path) -> None:
    """The database, and what SQLite keeps beside it."""
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()


def feed_path(world: World) -> str:
    return f"/users/{world.users['ana']}/events"


def last_id(connection: Connection) -> str:
    """What a browser sends as Last-Event-ID."""
    return connection.body.decode().rpartition("\nid: ")[2].partition("\n")[0]


async def by_event_stream(world: World, path: str, after: str | None) -> tuple[str, str | None]:
    """The position of a stream that has just begun, and with which code it ended."""
    headers: dict[str, Any] = {"last_event_id": after} if after else {}
    async with stream(world, "ana", path=path, **headers) as ana:
        await ana.until(lambda: b"\nid: " in ana.body and (ana.done or not after))
        return last_id(ana), ana.end and ana.end["code"]


async def by_socket(world: World, path: str, after: str | None) -> tuple[str, str | None]:
    async with socket(world, "ana", f"after={after}" if after else "", path=path) as ana:
        await ana.until(lambda: ana.frames and (ana.done or not after))
        return ana.frames[0]["cursor"], ana.close_frame and ana.close_frame[1]


async def in_process(world: World, path: str, after: str | None) -> tuple[str, str | None]:
    acting = world.kit.as_user("ana")
    buffer: Subscription | Feed = acting.feed(after=after) if path else acting.subscribe(world.conversation, after=after)
    async with buffer:
        cursor = buffer.cursor
        if not after:
            return cursor, None
        with pytest.raises(StreamEnded) as ended:
            await take(buffer, 1)
    return cursor, ended.value.code


Way = Callable[[World, str, str | None], Awaitable[tuple[str, str | None]]]
WAYS: list[Way] = [by_event_stream, by_socket, in_process]


@pytest.mark.usefixtures("no_poll")
@pytest.mark.parametrize("of", ["conversation", "feed"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_going_on_after_a_position_in_another_log_is_told_to_read_again(url: str, way: Way, of: str) -> None:
    async with open_world(make_kit(url)) as world:
        path = feed_path(world) if of == "feed" else ""
        cursor, code = await way(world, path, None)
        assert code is None
        assert await world.kit.restored()
        assert (await way(world, path, cursor))[1] == OTHER_LOG
        again, _ = await way(world, path, None)
        assert again != cursor
        assert nobody_is_left(world)


@pytest.mark.usefixtures("quick_poll")
async def test_who_listens_while_the_log_is_put_back_is_told_to_read_again(url: str) -> None:
    async with open_world(make_kit(url)) as world:
        user = world.kit.as_user("ana")
        async with (
            stream(world) as one,
            socket(world) as two,
            stream(world, path=feed_path(world)) as three,
            socket(world, path=feed_path(world)) as four,
            user.subscribe(world.conversation) as five,
            user.feed() as six,
        ):
            await world.kit.restored()
            for connection in (one, two, three, four):
                await connection.ends()
            assert [one.end["code"], three.end["code"]] == [OTHER_LOG] * 2
            assert two.close_frame == four.close_frame == (1008, OTHER_LOG)
            for buffer in (five, six):
                with pytest.raises(StreamEnded) as ended:
                    await take(buffer, 1)
                assert ended.value.code == OTHER_LOG
        async with user.subscribe(world.conversation, after=5) as events:
            await world.say()
            assert ids(await take(events, 1)) == [6]
        assert nobody_is_left(world)


@pytest.mark.usefixtures("no_poll")
async def test_a_hundred_of_a_hundred_clients_notice_that_a_backup_was_restored(tmp_path: Path) -> None:
    file, backup = tmp_path / "chat.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    cursors: list[str] = []
    async with open_world(make_kit(url)) as world:
        await world.kit.close()
        shutil.copy(file, backup)
        for number in range(50):
            await world.say(str(number))
            async with world.kit.as_user("ana").subscribe(world.conversation) as events, world.kit.as_user("ana").feed() as feed:
                cursors += [events.cursor, feed.cursor]
    remove(file)
    shutil.copy(backup, file)
    async with open_world(make_kit(url), populate=False) as restored:
        await restored.kit.restored()
        for number in range(60):
            await restored.kit.events.create(world.conversation, "text", {"text": f"another {number}"})
        noticed = 0
        for cursor in cursors:
            acting = restored.kit.as_user("ana")
            buffer: Subscription | Feed = (
                acting.subscribe(world.conversation, after=cursor) if "-0" in cursor[-2:] else acting.feed(after=cursor)
            )
            async with buffer:
                with pytest.raises(StreamEnded, match="read it again"):
                    await take(buffer, 1)
                noticed += 1
        assert noticed == len(cursors) == 100


async def test_a_cursor_goes_on_after_what_was_given_out_last(url: str) -> None:
    async with open_world(make_kit(url)) as world:
        async with world.kit.subscribe(world.conversation, after=2) as events:
            assert events.cursor == "2-0"
            await take(events, 1)
            assert events.cursor == "3-0"
        epoch = await world.kit.restored()
        assert epoch
        async with world.kit.subscribe(world.conversation, after=f"3-{epoch}") as events:
            assert ids(await take(events, 2)) == [4, 5]
            assert events.cursor == f"5-{epoch}"


@pytest.mark.usefixtures("no_poll")
async def test_who_may_not_read_is_told_that_and_not_which_log_there_is() -> None:
    async with open_world() as world:
        await world.kit.restored()
        for who, status in (("bo", 403), ("dee", 404)):
            async with stream(world, who, "after=3-0") as connection:
                await connection.ends()
                assert connection.status == status


@pytest.mark.parametrize(
    "after", ["-0", "5-", "5-A", "5-0-0", "x-0", "5 -0", "99999999999999999-0", "9007199254740993-0", "\u0665-0", "5-" + "a" * 33, "6-0"]
)
async def test_what_is_no_cursor_is_refused(after: str) -> None:
    async with open_world() as world:
        with pytest.raises(InvalidInput):
            async with world.kit.subscribe(world.conversation, after=after):
                pass
        async with stream(world, "ana", last_event_id=after.encode("ascii", "replace").decode()) as connection:
            await connection.ends()
            assert (connection.status, connection.problem["code"]) == (400, "event:error:invalid-cursor")


async def test_a_stream_that_begins_after_the_restore_is_not_held_up_by_one_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 3600)
    async with open_world() as world, world.kit.subscribe(world.conversation) as old:
        await world.kit.restored()
        async with world.kit.subscribe(world.conversation) as new:
            with pytest.raises(StreamEnded):
                await take(old, 1)
            await world.say()
            with anyio.fail_after(30):
                assert ids(await take(new, 1)) == [6]
