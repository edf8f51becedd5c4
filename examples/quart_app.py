"""A Quart host, with the kit as a middleware at /beta; any other ASGI host works the same way.

    uvicorn examples.quart_app:app --ws-max-size 70000 --ws-per-message-deflate false

    curl -u ana:secret localhost:8000/
    curl -u ana:secret -X POST localhost:8000/beta/conversations

The middleware also opens the storage when the server starts and closes it when it stops.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error

from quart import Quart

from conversation_kit import ADMIN, ConversationKit, HostAuthenticator, HostUser
from conversation_kit.auth import Identity
from conversation_kit.ports import ASGIScope

quart = Quart(__name__)


@quart.get("/")
async def home() -> str:
    return "A Quart application. Its conversations are at /beta.\n"


def identify(scope: ASGIScope) -> Identity:
    """Return the caller, by HTTP Basic.

    A real host looks into its session and its table of users.
    """
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    try:
        name, _, password = b64decode(header.removeprefix(b"Basic ")).decode().partition(":")
    except (Error, UnicodeDecodeError):
        return None
    if not hmac.compare_digest(password.encode(), b"secret"):
        return None
    return ADMIN if name == "root" else HostUser(name, display_name=name.title())


kit = ConversationKit(storage="sqlite:///quart.db", auth=HostAuthenticator(identify, create_users=True))
app = kit.middleware(quart, "/beta")
