"""A process of its own that appends to conversations: ``python -m tests.integration.live.writer STORAGE KIND BROKER CHANNEL``.

It reads lines of a conversation's id and a text, and answers each with the id of its event.
"""

from __future__ import annotations

import sys

import anyio
import anyio.to_thread

from tests.support import brokers
from tests.support.world import make_kit


async def main(*arguments: str) -> None:
    storage, kind, url, channel = arguments
    kit = make_kit(storage, broker=brokers.make(kind, url, channel))
    async with kit.lifespan():
        print("ready", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            conversation_id, _, text = line.rstrip("\n").partition(" ")
            event = await kit.events.create(conversation_id, "text", {"text": text})
            print(event.id, flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
