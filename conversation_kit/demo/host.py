"""The demo's host application: the kit mounted, three people, their pages, and everything that happens printed."""

from __future__ import annotations

import re
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
from conversation_kit.demo.instructions import make_instructions, write_tokens
from conversation_kit.demo.people import APPLICATION, People
from conversation_kit.demo.phones import Phones
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.models import Conversation
from conversation_kit.domain.reading import Page
from conversation_kit.domain.signals import EventCreated, LegTerminated, MemberJoined
from conversation_kit.kit import ConversationKit

ROOM = "tea-kitchen"

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys instead of showing them: controls, changes of direction, and halves of pairs, which none shows."""


def make_demo(directory: Path, url: str) -> Starlette:
    """Make the demo's host, with its keys, its tokens and its SQLite file in ``directory``; ``url`` is where it will be reached."""
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
            tokens = directory / "tokens.sh"
            write_tokens(tokens, people, f"{url}/beta/conversations/{room.id}")
            print(make_instructions(url, room.id, people, tokens), flush=True)
            yield
            group.cancel_scope.cancel()

    return Starlette(routes=[*pages.routes(), *desk.routes(), Mount("/beta", app=kit)], lifespan=lifespan)


async def _open_room(kit: ConversationKit) -> Conversation:
    """Return the conversation in which Ana and Bo are joined: a new one with a first word in it, or that of a run before this one."""
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
    shown = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    print(f"  {time.strftime('%H:%M:%S')}  {shown}\n", end="", flush=True)
