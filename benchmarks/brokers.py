"""Time that events take from one process to a subscription in another one, by broker, and the cost for the process that writes.

python -m benchmarks.brokers sqlite:////tmp/chat.db redis://127.0.0.1 nats://127.0.0.1 postgresql://postgres@127.0.0.1/test
"""

from __future__ import annotations

import subprocess
import sys
import time

import anyio
import anyio.to_thread

from conversation_kit import ConversationKit, HostAuthenticator

EVENTS = 300
REST_SECONDS = 0.02
COST_EVENTS = 2000
ROUNDS = 5


def make_kit(storage: str, broker: str) -> ConversationKit:
    return ConversationKit(
        storage=storage, auth=HostAuthenticator(lambda scope: None), application_id="bench", broker=None if broker == "none" else broker
    )


async def write(storage: str, broker: str, room: str) -> None:
    """Append texts that say when, at leisure; then as many as possible, and print the processor time of one."""
    kit = make_kit(storage, broker)
    async with kit.lifespan():
        await anyio.sleep(0.5)
        for _ in range(EVENTS):
            await kit.events.create(room, "text", {"text": str(time.monotonic())})
            await anyio.sleep(REST_SECONDS)
        other = (await kit.conversations.create()).id
        costs = []
        for _ in range(ROUNDS):
            began = time.process_time()
            async with anyio.create_task_group() as group:
                for _ in range(16):
                    group.start_soon(append, kit, other, COST_EVENTS // 16)
            costs.append((time.process_time() - began) / COST_EVENTS)
        print(min(costs) * 1e6)


async def append(kit: ConversationKit, room: str, number: int) -> None:
    for _ in range(number):
        await kit.events.create(room, "text", {"text": "hello"})


async def read(storage: str, broker: str) -> None:
    """Start a process that writes, and print what is seen of it."""
    kit = make_kit(storage, broker)
    async with kit.lifespan():
        room = (await kit.conversations.create()).id
        async with kit.subscribe(room) as events:
            command = [sys.executable, "-m", "benchmarks.brokers", "--write", storage, broker, room]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:  # noqa: ASYNC220
                waits = []
                async for event in events:
                    waits.append(time.monotonic() - float(event.body["text"]))
                    if len(waits) == EVENTS:
                        break
                assert writer.stdout is not None
                cost = float(await anyio.to_thread.run_sync(writer.stdout.read))
    waits.sort()
    name = broker.partition(":")[0]
    p50, p99 = waits[EVENTS // 2] * 1e3, waits[EVENTS * 99 // 100] * 1e3
    print(f"{name:<12} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   {cost:5.0f} us of processor time for an event")


async def main(*arguments: str) -> None:
    if arguments[0] == "--write":
        await write(*arguments[1:])
        return
    storage, *brokers = arguments
    for broker in ("none", *brokers):
        await read(storage, broker)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
