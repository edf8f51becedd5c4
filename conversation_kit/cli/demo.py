"""conversation-kit demo: a host application to play with."""

from __future__ import annotations

import argparse
import socket
import sys
from contextlib import suppress
from pathlib import Path

from conversation_kit.cli.arguments import Commands, add_address
from conversation_kit.cli.keygen import write_key_pair
from conversation_kit.cli.server import find_uvicorn, listening, quiet_log, server_options


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser("demo", help="run a host application with a chat page, three people and ready-made tokens")
    demo.add_argument("--directory", type=Path, default=Path("demo"), metavar="DIR", help="for its keys and its database (%(default)s)")
    add_address(demo, 8000)
    demo.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the demo until it is stopped."""
    uvicorn = find_uvicorn()
    from conversation_kit.demo import make_demo

    if not (options.directory / "private.pem").exists():
        write_key_pair(options.directory)
    # Listening comes first: by the time that the instructions are printed their port is known, and whoever follows them is heard.
    with listening(options.host, options.port) as listener:
        host = f"[{options.host}]" if listener.family == socket.AF_INET6 else options.host
        app = make_demo(options.directory, f"http://{host}:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **server_options()))
        quiet_log()
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)
