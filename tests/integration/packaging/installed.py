"""What an installed kit with the extra ``cli`` has to do, by the standard library alone: run by ``pythons.py``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import anyio

import conversation_kit
from conversation_kit import ConversationKit, HostAuthenticator

assert Path(conversation_kit.__file__).is_relative_to(sys.prefix), f"{conversation_kit.__file__} is not the installed one"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def talk(storage: str) -> None:
    """Append to a conversation and read it."""
    kit = ConversationKit(storage=storage, auth=HostAuthenticator(lambda scope: "ana"))
    async with kit.lifespan():
        ana = await kit.users.create("ana")
        room = await kit.conversations.create("tea")
        await kit.members.join(room.id, user_id=ana.id)
        await kit.as_user("ana").events.create(room.id, "text", {"text": "Hello"})
        assert [event.type for event in await kit.events.list(room.id)] == ["member:joined", "text"]


def ask(url: str, body: object = None) -> bytes:
    """What a server answers."""
    data = None if body is None else json.dumps(body).encode()
    with opener.open(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=30) as answer:
        found: bytes = answer.read()
    return found


def visit(folder: Path) -> None:
    """Start the demo and look at its pages."""
    command = [sys.executable, "-m", "conversation_kit", "demo", "--port", "0", "--directory", str(folder / "demo")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            home = next(filter(None, (re.search(r"(http://\S+)/#(\S+)", line) for line in demo.stdout)))
            url, key = home.groups()
            assert b"<script" in ask(f"{url}/chat")
            assert b"swagger" in ask(f"{url}/beta/docs")
            assert json.loads(ask(f"{url}/demo/session", {"key": key}))["role"] == "everybody"
        finally:
            demo.terminate()


with tempfile.TemporaryDirectory() as place:
    for storage in ("memory://", f"sqlite:///{place}/chat.db"):
        anyio.run(talk, storage)
    visit(Path(place))
