"""The applications that are measured, each opened and with its data in place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.routing import Mount

from benchmarks.bare import bare_app
from benchmarks.publishing import DirectApp, publisher
from benchmarks.raw import open_log
from benchmarks.rooms import (
    APPLICATION,
    CONVERSATIONS,
    LOGGED,
    MEMBERS,
    PREFIX,
    Room,
    Rooms,
    as_rooms,
    make_rooms,
    message,
    plan,
    user_names,
)
from benchmarks.wire import TEXT
from conversation_kit import ConversationKit, JWTAuthenticator, StreamLimits
from conversation_kit.ports import Storage
from conversation_kit_sql import SQLStorage

LIMITS = StreamLimits(per_user=10_000)


@dataclass(frozen=True)
class Spec:
    """Application, and the server that runs it.

    ``url`` is its database, ``page`` the answer of the bare one to reads.
    A kit that is not ``filled`` takes its database as it is; one that is ``mounted`` lies under the host's routes instead of before them.
    ``many`` is how many conversations there are to write to, and how many members each of them has.
    """

    kind: Literal["kit", "bare", "raw", "direct", "fastapi", "django"]
    public_key: str
    url: str = ""
    page: bytes = b""
    runtime: Literal["uvicorn", "hypercorn"] = "uvicorn"
    filled: bool = True
    mounted: bool = False
    many: tuple[int, int] = (CONVERSATIONS, MEMBERS)


@asynccontextmanager
async def opened(spec: Spec) -> AsyncIterator[tuple[Any, Rooms | None]]:
    """Open the application, and give it and the conversations in it."""
    if spec.kind == "bare":
        yield bare_app(spec.public_key, page=spec.page), None
    elif spec.kind == "raw":
        rooms = make_rooms()
        yield bare_app(spec.public_key, append=open_log(spec.url, [room.id for room in rooms]).append), rooms
    elif spec.kind == "direct":
        direct = DirectApp()
        direct.host = publisher(direct.publish, bare_app(spec.public_key, deliver=direct.publish_at))
        yield direct, None
    elif spec.kind == "fastapi":
        from benchmarks.tutorial_fastapi import opened_fastapi

        async with opened_fastapi(spec.url, spec.public_key) as found:
            yield found
    elif spec.kind == "django":
        from benchmarks.tutorial_django.app import open_django

        yield await open_django(spec.url, spec.public_key)
    else:
        storage: str | Storage = spec.url if spec.url.startswith("memory:") else SQLStorage(spec.url)
        kit = ConversationKit(storage=storage, auth=JWTAuthenticator({APPLICATION: spec.public_key}), stream_limits=LIMITS)
        async with kit.lifespan():
            rooms_of_kit = await _fill(kit, *spec.many) if spec.filled else None
            host = Starlette(routes=[Mount(PREFIX, app=kit)]) if spec.mounted else kit.middleware(_host(kit, rooms_of_kit), PREFIX)
            yield host, rooms_of_kit


def _host(kit: ConversationKit, rooms: Rooms | None) -> Starlette:
    """Make an application of the host, which publishes to the hot conversation when it is asked to."""
    if rooms is None:
        return Starlette()
    hot = rooms.hot

    async def publish() -> None:
        await kit.events.create(hot.id, "text", {"text": TEXT}, sender=hot.members[0][1])

    return publisher(publish, Starlette())


async def _fill(kit: ConversationKit, conversations: int, members: int) -> Rooms:
    for name in user_names():
        await kit.users.create(name)
    rooms = as_rooms([await _room(kit, name, users) for name, users in plan(conversations, members)])
    read = rooms.read
    for number in range(len(read.members), LOGGED):
        await kit.events.create(read.id, "text", {"text": message(number)}, sender=read.members[number % len(read.members)][1])
    return rooms


async def _room(kit: ConversationKit, name: str, users: list[str]) -> Room:
    conversation = await kit.conversations.create(name)
    members = [(user, (await kit.members.join(conversation.id, user_name=user)).id) for user in users]
    return Room(conversation.id, members)
