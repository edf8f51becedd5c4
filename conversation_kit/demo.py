"""The demo: a host application with the kit mounted, two users, and everything that happens printed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from conversation_kit.auth import JWTAuthenticator
from conversation_kit.domain.errors import Conflict
from conversation_kit.domain.signals import EventCreated, LegTerminated, MemberJoined
from conversation_kit.kit import ConversationKit
from conversation_kit.tokens import make_token

APPLICATION = "demo"
USERS = {"ana": "Ana", "bo": "Bo"}
TTL = 24 * 3600


def make_demo(directory: Path, url: str) -> Starlette:
    """The demo's host, with its keys and its SQLite file in ``directory``; ``url`` is where it will be reached."""
    private, public = ((directory / name).read_text() for name in ("private.pem", "public.pem"))
    kit = ConversationKit(storage=f"sqlite:///{directory / 'chat.db'}", auth=JWTAuthenticator({APPLICATION: public}))
    tokens = {name: make_token(private, APPLICATION, sub=name, ttl=TTL) for name in USERS}
    tokens["admin"] = make_token(private, APPLICATION, ttl=TTL)

    @kit.on(MemberJoined)
    def say_who_joined(signal: MemberJoined) -> None:
        _say(f"{signal.member.user_name} joined {signal.member.conversation_id}")

    @kit.on(EventCreated)
    def say_what_happened(signal: EventCreated) -> None:
        _say(f"event {signal.event.id}: {signal.event.type} {signal.event.body.get('text', '')}".rstrip())

    @kit.on(LegTerminated)
    def say_what_ended(signal: LegTerminated) -> None:
        _say(f"leg {signal.leg.id} ended: {signal.leg.status}")

    async def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse("A host application. Its conversations are at /beta, their documentation at /beta/docs.\n")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with kit.lifespan(app):
            for name, display_name in USERS.items():
                try:
                    await kit.users.create(name, display_name=display_name)
                except Conflict:
                    continue
            room = await kit.conversations.create(display_name="Tea kitchen")
            for name in USERS:
                await kit.members.join(room.id, user_name=name)
            print(_instructions(url, room.id, tokens), flush=True)
            yield

    return Starlette(routes=[Route("/", home), Mount("/beta", app=kit)], lifespan=lifespan)


def _say(text: str) -> None:
    # One write, for receivers say things from several threads.
    print(f"  {time.strftime('%H:%M:%S')}  {text}\n", end="", flush=True)


def _instructions(url: str, conversation_id: str, tokens: dict[str, str]) -> str:
    exports = "\n".join(f"export {name.upper()}={token}" for name, token in tokens.items())
    conversation = f"{url}/beta/conversations/{conversation_id}"
    return f"""
A host application runs at {url}, its conversation backend at {url}/beta, documented at {url}/beta/docs.

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
