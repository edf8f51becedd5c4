"""conversation-kit migrate: the tables of a database."""

from __future__ import annotations

import argparse

import anyio

from conversation_kit.auth import HostAuthenticator
from conversation_kit.cli.arguments import Commands
from conversation_kit.kit import ConversationKit
from conversation_kit.memory.factory import make_storage


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    migrate = commands.add_parser("migrate", help="make a database's tables, or bring them to what this release needs")
    migrate.add_argument("--storage", required=True, metavar="URL", help="the storage that the application uses, such as sqlite:///file.db")
    migrate.add_argument("--prefix", metavar="P", help="of the tables' names, if the application gives one")
    migrate.add_argument("--schema", metavar="S", help="the database schema that the tables lie in, if the application gives one")
    migrate.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Migrate, and say from where to where."""
    given = {name: value for name in ("prefix", "schema") if (value := getattr(options, name)) is not None}
    kit = ConversationKit(storage=make_storage(options.storage, **given), auth=HostAuthenticator(lambda scope: None))
    done = anyio.run(kit.migrate)
    if done is None:
        print("This storage has no tables: there is nothing to migrate.")
    elif done.before is None:
        print(f"The tables are made, at {done.after}.")
    elif done.before == done.after:
        print(f"The tables are at {done.after} already: there is nothing to do.")
    else:
        print(f"The tables went from {done.before} to {done.after}.")
