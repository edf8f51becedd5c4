"""Instructions that the demo prints at its start, and the file of tokens that they name."""

from __future__ import annotations

import os
from pathlib import Path

from conversation_kit.demo.people import EVERYBODY, NAMES, OPERATOR, TTL, People


def write_tokens(file: Path, people: People, conversation: str) -> None:
    """Write a shell's exports of three tokens and of the conversation's URL, for its owner's eyes, over those of an earlier run."""
    exports = {"ANA": people.token("ana"), "BO": people.token("bo"), "ADMIN": people.token(None), "CONVERSATION": conversation}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        file.chmod(0o600)
        opened.writelines(f"export {name}={value}\n" for name, value in exports.items())


def make_instructions(url: str, conversation_id: str, people: People, tokens: Path) -> str:
    """Return what to try, with the address to open first at the end, where it stays in sight."""
    links = "\n".join(f"    {shown:<14}{url}/chat#{people.key(name)}" for name, shown in NAMES.items())
    return f"""
A host application runs at {url}, its conversation backend at {url}/beta, documented at {url}/beta/docs.

Ana and Bo are joined in {conversation_id}. In another terminal, with tokens that live for {TTL // 3600} hours:

. {tokens}

# Ana says something
curl -H "Authorization: Bearer $ANA" -H "Content-Type: application/json" \\
     -d '{{"type": "text", "body": {{"text": "Hello Bo"}}}}' $CONVERSATION/events

# Bo reads what was said, the newest first
curl -H "Authorization: Bearer $BO" "$CONVERSATION/events?order=desc&page_size=5"

# Bo saw the third event
curl -H "Authorization: Bearer $BO" -H "Content-Type: application/json" \\
     -d '{{"type": "text:seen", "body": {{"event_id": 3}}}}' $CONVERSATION/events

# The admin lists the conversations
curl -H "Authorization: Bearer $ADMIN" {url}/beta/conversations

What happens is printed below; Ctrl-C ends the demo. Everybody has a page:

{links}
    {"The operator":<14}{url}/operator#{people.key(OPERATOR)}

Open this one in a browser, to chat as Ana and as Bo side by side:

    {url}/#{people.key(EVERYBODY)}
"""
