"""The command `conversation-kit` and its subcommands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from conversation_kit.cli import demo, keygen, migrate, restored, serve, token
from conversation_kit.domain.errors import ConfigurationError, StorageUnavailable


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exits with 2 and one sentence for what the user has to change."""
    try:
        options = make_parser().parse_args(arguments)
        options.run(options)
    except (ConfigurationError, StorageUnavailable, OSError, ValueError) as error:
        print(f"conversation-kit: {error}", file=sys.stderr)
        sys.exit(2)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands. What it parses has ``run``, the command's function, which takes it."""
    parser = argparse.ArgumentParser(prog="conversation-kit", description="A conversation backend that lives inside your own web app.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {find_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (serve, demo, migrate, restored, keygen, token):
        command.add_to(commands)
    return parser


def find_version() -> str:
    """Return the release that is installed, as a package index names it."""
    try:
        return version("conversation-kit")
    except PackageNotFoundError:
        return "of a copy that was not installed"
