"""A Starlette host whose clients call the API with tokens.

    uvicorn examples.starlette_app:app --ws-max-size 70000 --ws-per-message-deflate false

    TOKEN=$(curl -X POST "localhost:8000/login?name=ana")
    curl -X POST -H "Authorization: Bearer $TOKEN" localhost:8000/beta/conversations

The documentation of the API is at http://localhost:8000/beta/docs.
"""

from __future__ import annotations

from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from conversation_kit import Conflict, ConversationKit, JWTAuthenticator
from conversation_kit.auth import make_key_pair, make_token

# A real host reads its keys from files (`conversation-kit keygen`), or every restart makes all tokens void.
private_key, public_key = make_key_pair()

kit = ConversationKit(storage="sqlite:///starlette.db", auth=JWTAuthenticator({"my-app": public_key}))


async def login(request: Request) -> PlainTextResponse:
    """Answer with a token for one hour. A real host looks at a password first."""
    name = request.query_params["name"]
    with suppress(Conflict):  # has been here before
        await kit.users.create(name)
    return PlainTextResponse(make_token(private_key, "my-app", sub=name, ttl=3600))


app = Starlette(routes=[Route("/login", login, methods=["POST"]), Mount("/beta", app=kit)], lifespan=kit.lifespan)
