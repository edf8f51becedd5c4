"""conversation-kit keygen: an application's key pair."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from conversation_kit.auth import make_key_pair
from conversation_kit.cli.arguments import Commands
from conversation_kit.domain.errors import ConfigurationError


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    keygen = commands.add_parser("keygen", help="make an application's key pair")
    keygen.add_argument("directory", type=Path, metavar="DIR", help="gets private.pem and public.pem")
    keygen.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the pair, and say which file is which."""
    write_key_pair(options.directory)
    print(f"{options.directory / 'private.pem'} is the application's secret; {options.directory / 'public.pem'} is what the server needs.")


def write_key_pair(directory: Path) -> None:
    """Write ``private.pem`` (for its owner's eyes) and ``public.pem`` into ``directory``; never over an existing file."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("private.pem", "public.pem"):
        if (directory / name).exists():
            raise ConfigurationError(f"{directory / name} exists: choose another directory, or move it away first.")
    private, public = make_key_pair()
    with os.fdopen(os.open(directory / "private.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(private)
    (directory / "public.pem").write_text(public)
