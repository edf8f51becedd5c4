"""An application whose kit is used while it is imported, which ``gunicorn --preload`` does before it forks its workers."""

from __future__ import annotations

import os

import anyio

from conversation_kit import ADMIN, ConversationKit, HostAuthenticator

kit = ConversationKit(
    storage=os.environ["STORAGE"], broker=os.environ["BROKER"], auth=HostAuthenticator(lambda scope: ADMIN), application_id="app"
)


async def prepare() -> None:
    await kit.conversations.create("lobby")
    await kit.conversations.list()


anyio.run(prepare)
app = kit.middleware(kit, "/beta")
