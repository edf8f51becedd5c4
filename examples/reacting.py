"""The host's own code before and after what happens in conversations.

    python examples/reacting.py

Everything happens in this process, without a server; calls over HTTP go through the same hooks and receivers.
"""

from __future__ import annotations

from dataclasses import replace

import anyio

from conversation_kit import (
    Context,
    ConversationKit,
    CreateEvent,
    EventCreated,
    JWTAuthenticator,
    LegTerminated,
    MemberJoined,
    Rejected,
)
from conversation_kit.auth import make_key_pair

kit = ConversationKit(storage="memory://", auth=JWTAuthenticator({"my-app": make_key_pair()[1]}))


@kit.before(CreateEvent)
async def keep_it_civil(command: CreateEvent, context: Context) -> CreateEvent | None:
    """Refuse adverts and soften curses before anything is stored."""
    text = str(command.body.get("text", ""))
    if "buy now" in text.lower():
        raise Rejected("shop:error:advert", "No adverts in here, please.")
    if "darn" in text:
        return replace(command, body={**command.body, "text": text.replace("darn", "d**n")})
    return None


@kit.on(MemberJoined)
async def welcome(signal: MemberJoined) -> None:
    """Greet the member who joins.

    The host's own operation here is like any other, with hooks and signals.
    """
    member = signal.member
    print(f"{member.user_name} joined")
    await kit.events.create(member.conversation_id, "text", {"text": f"Welcome, {member.user_name}!"})


@kit.on(EventCreated)
async def log(signal: EventCreated) -> None:
    """Print every event of a log, a client's or the kit's own.

    A receiver may be a plain function, too: it then runs in a worker thread.
    """
    event = signal.event
    print(f"event {event.id}: {event.type} {event.body.get('text', '')}".rstrip())


@kit.on("custom:rating")
async def count_stars(signal: EventCreated) -> None:
    """Print the events of this type only, which is the host's own."""
    print(f"rated with {signal.event.body['stars']} stars")


@kit.on(LegTerminated)
async def hang_up(signal: LegTerminated) -> None:
    """Write the bill of a call that has ended."""
    print(f"leg of type {signal.leg.type} ended: {signal.leg.status}")


async def main() -> None:
    async with kit.lifespan():
        await kit.users.create("ana")
        room = await kit.conversations.create("support")
        member = await kit.members.join(room.id, user_name="ana")

        ana = kit.as_user("ana")
        await ana.events.create(room.id, "text", {"text": "where is my darn parcel?"})
        try:
            await ana.events.create(room.id, "text", {"text": "BUY NOW, cheap parcels!"})
        except Rejected as error:
            print(f"refused with {error.code}: {error.description}")
        await ana.events.create(room.id, "custom:rating", {"stars": 4})

        leg = await kit.legs.start(room.id, "phone", member_id=member.id)
        await kit.legs.update(leg.id, "answered")
        await kit.legs.update(leg.id, "completed")


if __name__ == "__main__":
    anyio.run(main)
