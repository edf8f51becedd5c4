"""Conversations for feeds: made, joined and written to."""

from __future__ import annotations

from conversation_kit import Event
from tests.support.world import World


def places(events: list[Event]) -> list[tuple[str, int | None]]:
    return [(event.conversation_id, event.id) for event in events]


async def room(world: World, *names: str) -> str:
    """Another conversation, which these have joined."""
    made = await world.kit.conversations.create()
    for name in names:
        await world.kit.members.join(made.id, user_name=name)
    return made.id


async def say(world: World, conversation_id: str, text: str = "hello") -> None:
    await world.kit.events.create(conversation_id, "text", {"text": text})
