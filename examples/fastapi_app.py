"""A FastAPI host whose own users call the API, with the operations of both in one documentation.

    uvicorn examples.fastapi_app:app --ws-max-size 70000 --ws-per-message-deflate false

    curl -H "X-Key: key-of-ana" localhost:8000/me
    curl -H "X-Key: key-of-ana" -X POST localhost:8000/chat/conversations

Dependencies of FastAPI do not guard what is mounted, so the kit asks `who_calls` itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.openapi.utils import get_openapi

from conversation_kit import Conflict, Conversation, ConversationKit, HostAuthenticator
from conversation_kit.ports import ASGIScope

USERS = {"key-of-ana": "ana", "key-of-bo": "bo"}


def who_calls(scope: ASGIScope) -> str | None:
    """Return the name of the user whose key the request carries."""
    return next((USERS.get(value.decode("latin-1")) for name, value in scope["headers"] if name == b"x-key"), None)


kit = ConversationKit(storage="sqlite:///fastapi.db", auth=HostAuthenticator(who_calls))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the kit's lifespan around the host's own, which makes its users known."""
    async with kit.lifespan():
        for name in USERS.values():
            with suppress(Conflict):  # after a restart
                await kit.users.create(name)
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/chat", kit)


def current_user(request: Request) -> str:
    name = who_calls(request.scope)
    if name is None:
        raise HTTPException(401, "Send your key as X-Key.")
    return name


@app.get("/me")
async def me(name: Annotated[str, Depends(current_user)]) -> dict[str, str]:
    return {"name": name}


@app.post("/rooms/{name}")
async def open_room(name: str, user: Annotated[str, Depends(current_user)]) -> dict[str, str]:
    """Let the host's own code do what its users may not: make others join."""
    room: Conversation = await kit.conversations.create(name)
    for user_name in USERS.values():
        await kit.members.join(room.id, user_name=user_name)
    return {"conversation_id": room.id, "opened_by": user}


def documentation() -> dict[str, Any]:
    """Return the host's OpenAPI document with the kit's operations added, for `/docs`."""
    if app.openapi_schema is None:
        document = get_openapi(title="My app", version="1", routes=app.routes)
        chat = kit.openapi("/chat")
        document["paths"].update(chat["paths"])
        components = document.setdefault("components", {})
        for kind, named in chat["components"].items():
            components.setdefault(kind, {}).update(named)
        app.openapi_schema = document
    return app.openapi_schema


setattr(app, "openapi", documentation)  # noqa: B010 (FastAPI's way to replace it, which type checkers refuse as an assignment)
