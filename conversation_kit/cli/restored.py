"""conversation-kit restored: what to run after a backup was put back."""

from __future__ import annotations

import argparse

import anyio

from conversation_kit.auth import HostAuthenticator
from conversation_kit.cli.arguments import Commands
from conversation_kit.kit import ConversationKit
from conversation_kit.memory.factory import make_storage


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    restored = commands.add_parser("restored", help="say that a backup was put back, so that clients read again")
    restored.add_argument(
        "--storage", required=True, metavar="URL", help="the storage that the application uses, such as sqlite:///file.db"
    )
    restored.add_argument("--prefix", metavar="P", help="of the tables' names, if the application gives one")
    restored.add_argument("--schema", metavar="S", help="the database schema that the tables lie in, if the application gives one")
    restored.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Begin another epoch, and print it."""
    given = {name: value for name in ("prefix", "schema") if (value := getattr(options, name)) is not None}
    kit = ConversationKit(storage=make_storage(options.storage, **given), auth=HostAuthenticator(lambda scope: None))

    async def renew() -> str | None:
        async with kit.lifespan():
            return await kit.restored()

    epoch = anyio.run(renew)
    if epoch is None:
        print("This storage has no epoch: there is nothing to do.")
    else:
        print(f"The log is another one from now on, of epoch {epoch}: clients that have a part of the old one are told to read again.")
