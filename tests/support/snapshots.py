"""Everything that there is of a world's conversation, to see that nothing has changed."""

from __future__ import annotations

from typing import Any

from tests.support.world import World


async def snapshot(world: World) -> list[Any]:
    return [
        await world.kit.conversations.retrieve(world.conversation),
        [event.data for event in await world.kit.events.list(world.conversation)],
        (await world.kit.legs.list()).items,
    ]
