"""conversation-kit serve: the API on its own."""

from __future__ import annotations

import argparse
import json
import math
import os
import secrets
import sys

import anyio

from conversation_kit.cli.arguments import Commands, add_address
from conversation_kit.cli.limits import add_limits, chosen
from conversation_kit.cli.served import ENVIRONMENT, make_served_kit
from conversation_kit.cli.server import find_uvicorn, listening, server_options
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.kit import ConversationKit

TICKET_SECRET = "CONVERSATION_KIT_TICKET_SECRET"
"""Variable of the secret of tickets that several servers have in common; without it one is made for the workers of this one."""


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    serve = commands.add_parser("serve", help="serve the API on its own")
    serve.add_argument(
        "--application",
        action="append",
        required=True,
        metavar="ID=KEY",
        help="an application and its public key: a file in PEM, once more for each other key while keys change; "
        "or a file or https:// URL with a JSON Web Key Set, which is read again for new keys",
    )
    serve.add_argument(
        "--max-token-age",
        type=float,
        metavar="SECONDS",
        help="refuse tokens that are made to live longer",
    )
    serve.add_argument(
        "--storage",
        default="sqlite:///conversations.db",
        metavar="URL",
        help="memory://, sqlite:///file.db, postgresql://... or mariadb://... (%(default)s)",
    )
    serve.add_argument(
        "--broker",
        metavar="URL",
        help="what tells several workers of each other's events: postgres (the storage's own), redis://host or nats://host",
    )
    serve.add_argument("--path", default="/beta", help="where to mount the API (%(default)s)")
    serve.add_argument("--public-url", metavar="URL", help="base of all links, with the path; by default they follow the request")
    serve.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin, such as https://shop.example, whose pages may call the API and open WebSockets",
    )
    serve.add_argument("--no-docs", action="store_true", help="serve no index, /openapi.json and /docs")
    serve.add_argument(
        "--join", choices=("anyone", "invited"), default="anyone", help="who may join a conversation of their own accord (%(default)s)"
    )
    add_limits(serve)
    serve.add_argument("--workers", type=int, default=1, metavar="N", help="processes (%(default)s)")
    add_address(serve, 8000)
    serve.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until it is stopped."""
    uvicorn = find_uvicorn()
    if options.max_token_age is not None and not 0 < options.max_token_age < math.inf:
        raise ConfigurationError("--max-token-age takes a number of seconds of more than 0.")
    if options.workers < 1:
        raise ConfigurationError("--workers takes a number of at least 1.")
    os.environ[ENVIRONMENT] = json.dumps(
        {
            "applications": options.application,
            "storage": options.storage,
            "path": options.path,
            "public_url": options.public_url,
            "ticket_secret": os.environ.get(TICKET_SECRET) or secrets.token_hex(),
            "broker": options.broker,
            "allowed_origins": options.allow_origin,
            "docs": not options.no_docs,
            "join": options.join,
            "max_token_age": options.max_token_age,
            "limits": chosen(options),
            "meter": options.meter,
        }
    )
    kit = make_served_kit(json.loads(os.environ[ENVIRONMENT]))
    if options.workers > 1 and not kit.storage.capabilities.several_processes:
        raise ConfigurationError(
            f"{options.storage} is each worker's own: use a database, such as sqlite:///file.db, with more than one worker."
        )
    anyio.run(_try_storage, kit)
    if options.workers > 1 and options.broker is None:
        print(
            f"conversation-kit: there are {options.workers} workers and no --broker, so events that one worker stores reach the live "
            "streams of the others up to a second later: give it postgres, redis://host or nats://host.",
            file=sys.stderr,
        )
    with listening(options.host, options.port):
        pass  # in vain, where uvicorn would tell of it after all workers have started
    uvicorn.run(
        "conversation_kit.cli.served:make_served_app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        **server_options(),
    )


async def _try_storage(kit: ConversationKit) -> None:
    """Open the storage and close it again, so that what is wrong with it is told before any worker starts."""
    async with kit.lifespan():
        pass
