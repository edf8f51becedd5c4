"""conversation-kit token: a token for trying things out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from conversation_kit.auth import make_token
from conversation_kit.cli.arguments import Commands
from conversation_kit.domain.errors import ConfigurationError


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    token = commands.add_parser("token", help="make a token and print it")
    token.add_argument("--private-key", type=Path, required=True, metavar="PEM", help="the file of the application's private key")
    token.add_argument("--application", required=True, metavar="ID")
    token.add_argument("--sub", metavar="NAME", help="the user's name; without it the token is an admin's")
    token.add_argument("--ttl", type=int, default=900, metavar="SECONDS", help="how long it lives (%(default)s)")
    token.add_argument("--kid", metavar="KID", help="which key of a JSON Web Key Set has to check it; without one any may")
    token.add_argument("--acl", type=_json, metavar="JSON", help='such as \'{"paths": {"/*/conversations/**": {}}}\'')
    token.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print a token."""
    if options.ttl <= 0:
        raise ConfigurationError("--ttl takes a number of seconds of more than 0.")
    private_key = options.private_key.read_text(errors="replace")
    print(make_token(private_key, options.application, sub=options.sub, ttl=options.ttl, acl=options.acl, kid=options.kid))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is not JSON: {error}") from error
