"""A host with the kit mounted, and people in every relation to one conversation."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from conversation_kit import ConversationKit, JWTAuthenticator, Storage
from conversation_kit.auth import make_key_pair, make_token

APP = "app-1"
OTHER = "app-2"


@lru_cache(maxsize=4)
def keys(name: str) -> tuple[str, str]:
    """A key pair, private first, made once a test run for each name."""
    return make_key_pair()


def token(application: str, sub: str | None = None) -> str:
    """A token that is no older than the users who were created until now: made at the end of this half minute."""
    return _token(application, sub, int(time.time()) // 30 * 30 + 30)


@lru_cache(maxsize=256)
def _token(application: str, sub: str | None, now: int) -> str:
    return make_token(keys(application)[0], application, sub=sub, ttl=3600, now=now)


def make_kit(storage: str | Storage = "memory://", **options: Any) -> ConversationKit:
    auth = JWTAuthenticator({APP: keys(APP)[1], OTHER: keys(OTHER)[1]})
    return ConversationKit(storage=storage, auth=auth, application_id=APP, **options)


@dataclass
class World:
    """``ana`` and ``max`` are joined, ``bo`` is invited, ``cy`` has left, ``dee`` has nothing to do with the conversation."""

    kit: ConversationKit
    client: httpx2.AsyncClient
    conversation: str = ""
    users: dict[str, str] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, who: str | None = "admin", **options: Any) -> httpx2.Response:
        """A request as ``admin``, as ``stranger admin`` (of the other application), as a user, or as nobody."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers.setdefault("Authorization", f"Bearer {self.token(who)}")
        return await self.client.request(method, "/beta" + path, headers=headers, **options)

    def token(self, who: str) -> str:
        if who == "stranger admin":
            return token(OTHER)
        return token(APP) if who == "admin" else token(APP, who)

    async def json(self, method: str, path: str, who: str | None = "admin", *, status: int = 200, **options: Any) -> Any:
        response = await self.call(method, path, who, **options)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    @property
    def path(self) -> str:
        return f"/conversations/{self.conversation}"

    async def say(self, text: str = "hello", who: str = "ana") -> str:
        """Post a text and return its id."""
        created = await self.json("POST", f"{self.path}/events", who, status=201, json={"type": "text", "body": {"text": text}})
        return str(created["id"])

    async def types(self) -> list[str]:
        """The types of the conversation's events in order."""
        return [event.type for event in await self.kit.events.list(self.conversation)]


@asynccontextmanager
async def open_world(kit: ConversationKit | None = None, *, populate: bool = True, **options: Any) -> AsyncIterator[World]:
    kit = kit or make_kit(**options)
    app = Starlette(routes=[Mount("/beta", app=kit)])
    transport = httpx2.ASGITransport(app=app)
    async with kit.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://host.test") as client:
        world = World(kit, client)
        if populate:
            await _populate(world)
        yield world


async def _populate(world: World) -> None:
    kit = world.kit
    for name in ("ana", "max", "bo", "cy", "dee"):
        world.users[name] = (await kit.users.create(name, display_name=name.title())).id
    world.conversation = (await kit.conversations.create("room", display_name="The Room")).id
    for name in ("ana", "max", "cy"):
        world.members[name] = (await kit.members.join(world.conversation, user_name=name)).id
    world.members["bo"] = (await kit.as_user("ana").members.invite(world.conversation, user_name="bo")).id
    await kit.as_user("cy").members.remove(world.conversation, world.members["cy"])
