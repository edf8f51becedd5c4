"""The demo's host application: the kit mounted, three people, their pages, and everything that happens printed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.routing import Mount

from conversation_kit.auth import JWTAuthenticator
from conversation_kit.demo import pages
from conversation_kit.demo.desk import Desk
from conversation_kit.demo.people import APPLICATION, EVERYBODY, NAMES, OPERATOR, People
from conversation_kit.demo.phones import Phones
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.models import Conversation
from conversation_kit.domain.reading import Page
from conversation_kit.domain.signals import EventCreated, LegTerminated, MemberJoined
from conversation_kit.kit import ConversationKit

ROOM = "tea-kitchen"


def make_demo(directory: Path, url: str) -> Starlette:
    """The demo's host, with its keys and its SQLite file in ``directory``; ``url`` is where it will be reached."""
    private, public = ((directory / name).read_text() for name in ("private.pem", "public.pem"))
    auth = JWTAuthenticator({APPLICATION: public})
    kit = ConversationKit(storage=f"sqlite:///{directory / 'chat.db'}", auth=auth)
    people = People(kit, private)
    desk = Desk(auth, people)

    @kit.on(MemberJoined)
    def say_who_joined(signal: MemberJoined) -> None:
        _say(f"{signal.member.user_name} joined {signal.member.conversation_id}")

    @kit.on(EventCreated)
    def say_what_happened(signal: EventCreated) -> None:
        _say(f"event {signal.event.id}: {signal.event.type} {signal.event.body.get('text', '')}".rstrip())

    @kit.on(LegTerminated)
    async def put_the_phone_down(signal: LegTerminated) -> None:
        desk.phones.forget(signal.leg.id)
        _say(f"leg {signal.leg.id} ended: {signal.leg.status}")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with kit.lifespan(app), anyio.create_task_group() as group:
            desk.phones = Phones(kit, group)
            await people.create()
            await desk.phones.end_lost()
            room = await _open_room(kit)
            print(_instructions(url, room.id, people), flush=True)
            yield
            group.cancel_scope.cancel()

    return Starlette(routes=[*pages.routes(), *desk.routes(), Mount("/beta", app=kit)], lifespan=lifespan)


async def _open_room(kit: ConversationKit) -> Conversation:
    """The conversation in which Ana and Bo are joined: a new one with a first word in it, or that of a run before this one."""
    try:
        room = await kit.conversations.create(ROOM, display_name="Tea kitchen")
    except Conflict:
        room = await _find_room(kit)
    for name in ("ana", "bo"):
        try:
            await kit.members.join(room.id, user_name=name)
        except Conflict:
            continue  # still there
    if room.sequence_number == 0:
        await kit.as_user("ana").events.create(room.id, "text", {"text": "The kettle is on. Who would like a cup?"})
    return room


async def _find_room(kit: ConversationKit) -> Conversation:
    page = Page()
    while (found := await kit.conversations.list(page)).items:
        for conversation in found.items:
            if conversation.name == ROOM:
                return conversation
        page = Page(index=page.index + page.size)
    raise Conflict(f"The conversation {ROOM!r} went while the demo started: start it again.")


def _say(text: str) -> None:
    # One write, for receivers say things from several threads.
    print(f"  {time.strftime('%H:%M:%S')}  {text}\n", end="", flush=True)


def _instructions(url: str, conversation_id: str, people: People) -> str:
    tokens = {"ANA": people.token("ana"), "BO": people.token("bo"), "ADMIN": people.token(None)}
    exports = "\n".join(f"export {name}={token}" for name, token in tokens.items())
    links = "\n".join(f"    {shown:<14}{url}/chat#{people.key(name)}" for name, shown in NAMES.items())
    conversation = f"{url}/beta/conversations/{conversation_id}"
    return f"""
A host application runs at {url}, its conversation backend at {url}/beta, documented at {url}/beta/docs.

Open this in a browser, to chat as Ana and as Bo side by side, or as each of them in a window of its own:

    {url}/#{people.key(EVERYBODY)}

{links}
    {"The operator":<14}{url}/operator#{people.key(OPERATOR)}

Ana and Bo are joined in {conversation_id}. In another terminal:

{exports}

# Ana says something
curl -H "Authorization: Bearer $ANA" -H "Content-Type: application/json" \\
     -d '{{"type": "text", "body": {{"text": "Hello Bo"}}}}' {conversation}/events

# Bo reads what was said, the newest first
curl -H "Authorization: Bearer $BO" "{conversation}/events?order=desc&page_size=5"

# Bo saw the third event
curl -H "Authorization: Bearer $BO" -H "Content-Type: application/json" \\
     -d '{{"type": "text:seen", "body": {{"event_id": 3}}}}' {conversation}/events

# The admin lists the conversations
curl -H "Authorization: Bearer $ADMIN" {url}/beta/conversations

What happens is printed here; Ctrl-C ends the demo.
"""
