"""Uses a kit, forks with its connections open, and says what went wrong in the children and afterwards in itself.

    python -m tests.integration.forks.forking SOURCE URL BACKEND

``SOURCE`` is ``url`` or ``engine``: an engine of the host's, used before the fork too. Printed are, as JSON, sentences about what was found
that had not been written, and the ids by which the broker's listeners tell ephemeral events apart.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence

import anyio
from sqlalchemy import create_engine, text

from conversation_kit import ConversationKit, HostAuthenticator, Storage
from conversation_kit.ports import BrokerMessage, EphemeralEvent
from conversation_kit_sql import SQLStorage

CHILDREN = 3
ROUNDS = 15
DEADLINE = 60.0
WHISPERS = 3
"""Ephemeral events of each process."""


class Recorder:
    """A broker that remembers what it is told."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        self.ids += [one.id for one in messages if isinstance(one, EphemeralEvent)]

    async def listen(self, heard: Callable[[BrokerMessage], None]) -> None:
        await anyio.sleep_forever()


recorder = Recorder()


def make(source: str, url: str) -> ConversationKit:
    """A kit; its engine is used before it is."""
    storage: str | Storage = url
    if source == "engine":
        engine = create_engine(url)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        storage = SQLStorage(engine)
    return ConversationKit(storage=storage, broker=recorder, auth=HostAuthenticator(lambda scope: None), application_id="app")


async def work(kit: ConversationKit, name: str, faults: list[str]) -> None:
    """Make conversations side by side, and compare each with what is found."""

    async def one(number: int) -> None:
        wanted = f"{name}-{number}"
        made = await kit.conversations.create(wanted)
        await kit.events.create(made.id, "text", {"text": wanted})
        found = await kit.conversations.get(made.id)
        texts = [event.body["text"] for event in await kit.events.list(made.id)]
        if (made.name, found.name, texts) != (wanted, wanted, [wanted]):
            faults.append(f"{wanted}: made {made.name}, found {found.name} with {texts}")

    with anyio.fail_after(DEADLINE):
        for first in range(0, ROUNDS, 5):
            async with anyio.create_task_group() as group:
                for number in range(first, first + 5):
                    group.start_soon(one, number)
        room = await kit.conversations.create(f"{name} types")
        for _ in range(WHISPERS):
            await kit.events.create(room.id, "text:typing:on")


Told = tuple[list[str], list[str]]
"""What went wrong, and the ids."""


def attempt(kit: ConversationKit, name: str, backend: str) -> Told:
    faults: list[str] = []
    recorder.ids.clear()
    try:
        anyio.run(work, kit, name, faults, backend=backend)
    except BaseException:
        faults.append(f"{name}: {traceback.format_exc(limit=-2)}")
    return faults, list(recorder.ids)


def forked(work: Callable[[], Told]) -> tuple[int, int]:
    """The process that was forked off, which ends as Python ends, and where its faults can be read."""
    here, there = os.pipe()
    pid = os.fork()
    if pid:
        os.close(there)
        return pid, here
    with os.fdopen(there, "w") as sender:
        sender.write(json.dumps(work()))
    sys.exit()


def main(source: str, url: str, backend: str) -> None:
    kit = make(source, url)
    told = [attempt(kit, "before", backend)]
    children = [forked(lambda number=number: attempt(kit, f"child-{number}", backend)) for number in range(CHILDREN)]  # type: ignore[misc]
    told.append(attempt(kit, "beside", backend))
    for pid, sender in children:
        with os.fdopen(sender) as file:
            told.append(json.loads(file.read() or '[["a child ended without a word"], []]'))
        if os.waitpid(pid, 0)[1]:
            told.append((["a child ended badly"], []))
    told.append(attempt(kit, "after", backend))
    print(json.dumps([[fault for faults, _ in told for fault in faults], [id for _, ids in told for id in ids]]))


if __name__ == "__main__":
    main(*sys.argv[1:])
