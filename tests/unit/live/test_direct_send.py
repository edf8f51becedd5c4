"""Writing to a connection from another task: at once while the server takes it, and by the connection's own task when it does not."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conversation_kit.http.live.direct_send import DirectSender
from conversation_kit.http.serving.mounting import Message

pytestmark = pytest.mark.anyio


class Server:
    """Takes messages at once while it is open."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.open = anyio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.wakes = 0

    async def send(self, message: Message) -> None:
        if not self.open.is_set():
            await self.open.wait()
        if self.error is not None:
            raise self.error
        self.taken.append(message["number"])

    def wake(self) -> None:
        self.wakes += 1


def number(value: int) -> Message:
    return {"number": value}


async def test_nothing_is_written_at_once_before_it_is_known_that_the_server_takes_it() -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    assert not sender.write_now(number(1))
    assert server.taken == []


async def test_a_server_that_gives_way_to_others_is_written_to_by_the_connections_task_only() -> None:
    async def send(message: Message) -> None:
        await checkpoint()

    sender = DirectSender(send, lambda: None)
    await sender.write(number(1))
    assert not sender.write_now(number(2))


async def test_on_asyncio_others_write_at_once(anyio_backend: str) -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    await sender.write(number(1))
    assert sender.write_now(number(2)) == (anyio_backend == "asyncio")
    assert server.taken == ([1, 2] if anyio_backend == "asyncio" else [1])
    assert server.wakes == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_has_to_wait_is_brought_to_its_end_by_the_connections_task(anyio_backend: str) -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    await sender.write(number(1))
    server.open = anyio.Event()
    assert sender.write_now(number(2))
    assert server.wakes == 1
    assert not sender.write_now(number(3))
    assert server.taken == [1]
    async with anyio.create_task_group() as group:
        group.start_soon(sender.write, number(3))
        await checkpoint()
        server.open.set()
    assert server.taken == [1, 2, 3]
    assert sender.write_now(number(4))
    assert server.taken == [1, 2, 3, 4]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_waiting_for_what_somebody_else_began_can_be_given_up(anyio_backend: str) -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    await sender.write(number(1))
    server.open = anyio.Event()
    sender.write_now(number(2))
    with anyio.move_on_after(0.01) as scope:
        await sender.finish()
    assert scope.cancelled_caught
    server.open.set()
    await sender.write(number(3))
    assert server.taken == [1, 3]
    server.open = anyio.Event()
    sender.write_now(number(4))
    sender.close()
    assert not sender.write_now(number(5))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_publishes_does_not_get_what_a_server_raises(anyio_backend: str) -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    await sender.write(number(1))
    server.error = OSError("gone")
    assert sender.write_now(number(2))
    assert not sender.write_now(number(3))
    with pytest.raises(OSError, match="gone"):
        await sender.finish()


async def test_two_tasks_of_a_connection_take_turns() -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    server.open = anyio.Event()
    async with anyio.create_task_group() as group:
        for value in (1, 2, 3):
            group.start_soon(sender.write, number(value))
        await checkpoint()
        server.open.set()
    assert sorted(server.taken) == [1, 2, 3]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nobody_overtakes_a_task_of_the_connection_that_waits_for_its_turn(anyio_backend: str) -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    await sender.write(number(1))
    server.open = anyio.Event()

    async def publish() -> None:
        """Try to get in between as soon as the first has been sent."""
        while not sender.write_now(number(4)):
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(sender.write, number(2))
        await checkpoint()
        group.start_soon(sender.write, number(3))
        await checkpoint()
        group.start_soon(publish)
        await checkpoint()
        server.open.set()
    assert server.taken == [1, 2, 3, 4]


async def test_nobody_writes_after_the_last_messages() -> None:
    server = Server()
    sender = DirectSender(server.send, server.wake)
    await sender.write(number(1))
    server.open = anyio.Event()
    refused: list[OSError] = []

    async def write() -> None:
        try:
            await sender.write(number(9))
        except OSError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(sender.write_last, [number(2), number(3)])
        await checkpoint()
        group.start_soon(write)
        await checkpoint()
        server.open.set()
    assert server.taken == [1, 2, 3]
    assert len(refused) == 1
    assert not sender.write_now(number(9))


async def test_a_send_that_is_no_coroutine_function_is_awaited() -> None:
    server = Server()

    class Awaitable:
        def __init__(self, message: Message) -> None:
            self.message = message

        def __await__(self) -> Any:
            return server.send(self.message).__await__()

    sender = DirectSender(Awaitable, server.wake)
    await sender.write(number(1))
    assert server.taken == [1]
    assert not sender.write_now(number(2))
