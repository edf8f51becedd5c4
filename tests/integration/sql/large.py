"""A conversation with something of everything."""

from __future__ import annotations

from conversation_kit import ConversationKit


async def large(kit: ConversationKit, events: int = 60) -> str:
    """A conversation with members, events, receipts, and somebody who is banned."""
    room = await kit.conversations.create("room")
    for name in ("ana", "bo", "cy"):
        await kit.users.create(name)
        await kit.members.join(room.id, user_name=name)
    for _ in range(events):
        await kit.as_user("ana").events.create(room.id, "text", {"text": "hello"})
    for name in ("bo", "cy"):
        for id in (4, 5, 6, 40):
            await kit.as_user(name).events.create(room.id, "text:seen", {"event_id": id})
    await kit.users.create("dee")
    await kit.members.ban(room.id, user_name="dee")
    return room.id
