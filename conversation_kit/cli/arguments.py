"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from conversation_kit.domain.errors import ConfigurationError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The part of a parser to which a command adds its own; argparse has no public name for it."""


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Add ``--host`` and ``--port``."""
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=port, metavar="P", help="port to listen on, 0 for any (%(default)s)")


def _port(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and int(text) <= 65535):
        raise ConfigurationError(f"--port takes a number from 1 to 65535, or 0 for any port that is free, not {text!r}.")
    return int(text)
