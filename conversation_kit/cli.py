"""conversation-kit serve | demo | migrate | keygen | token."""

from __future__ import annotations

import argparse
import gc
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import anyio
from starlette.applications import Starlette

from conversation_kit.auth import HostAuthenticator, JWTAuthenticator
from conversation_kit.domain.errors import ConfigurationError, StorageUnavailable
from conversation_kit.http.mounting import ASGIApp
from conversation_kit.kit import ConversationKit, make_storage
from conversation_kit.tokens import make_key_pair, make_token

ENVIRONMENT = "CONVERSATION_KIT_SERVE"
"""Carries the options of ``serve`` to its worker processes, as JSON. Its secrets are what the URLs hold, and the one that seals tickets."""

TICKET_SECRET = "CONVERSATION_KIT_TICKET_SECRET"
"""Where ``serve`` finds the secret of tickets that several servers have in common; without it one is made for the workers of this one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exits with 2 and one sentence for what the user has to change."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ConfigurationError, StorageUnavailable, OSError, ValueError) as error:
        _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conversation-kit", description="A conversation backend that lives inside your own web app.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the API on its own")
    serve.add_argument(
        "--application", action="append", required=True, metavar="ID=PUBLIC_PEM", help="an application and the file of its public key"
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
    serve.add_argument("--workers", type=int, default=1, metavar="N", help="processes (%(default)s)")
    _add_address(serve, 8000)
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="run a host application with a chat page, three people and ready-made tokens")
    demo.add_argument("--directory", type=Path, default=Path("demo"), metavar="DIR", help="for its keys and its database (%(default)s)")
    _add_address(demo, 8000)
    demo.set_defaults(run=_demo)

    migrate = commands.add_parser("migrate", help="make a database's tables, or bring them to what this release needs")
    migrate.add_argument("--storage", required=True, metavar="URL", help="the storage that the application uses, such as sqlite:///file.db")
    migrate.add_argument("--prefix", metavar="P", help="of the tables' names, if the application gives one")
    migrate.add_argument("--schema", metavar="S", help="the database schema that the tables lie in, if the application gives one")
    migrate.set_defaults(run=_migrate)

    keygen = commands.add_parser("keygen", help="make an application's key pair")
    keygen.add_argument("directory", type=Path, metavar="DIR", help="gets private.pem and public.pem")
    keygen.set_defaults(run=_keygen)

    token = commands.add_parser("token", help="make a token and print it")
    token.add_argument("--private-key", type=Path, required=True, metavar="PEM", help="the file of the application's private key")
    token.add_argument("--application", required=True, metavar="ID")
    token.add_argument("--sub", metavar="NAME", help="the user's name; without it the token is an admin's")
    token.add_argument("--ttl", type=int, default=900, metavar="SECONDS", help="how long it lives (%(default)s)")
    token.add_argument("--acl", type=_json, metavar="JSON", help='such as \'{"paths": {"/*/conversations/**": {}}}\'')
    token.set_defaults(run=_token)
    return parser


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=port, metavar="P", help="port to listen on, 0 for any (%(default)s)")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is not JSON: {error}") from error


def _fail(message: str) -> NoReturn:
    print(f"conversation-kit: {message}", file=sys.stderr)
    sys.exit(2)


def _keygen(options: argparse.Namespace) -> None:
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


def _token(options: argparse.Namespace) -> None:
    if options.ttl <= 0:
        raise ConfigurationError("--ttl takes a number of seconds of more than 0.")
    private_key = options.private_key.read_text(errors="replace")
    print(make_token(private_key, options.application, sub=options.sub, ttl=options.ttl, acl=options.acl))


def _migrate(options: argparse.Namespace) -> None:
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


def _serve(options: argparse.Namespace) -> None:
    uvicorn = _uvicorn()
    from conversation_kit.serving import Connection

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
        }
    )
    kit = _make_served_kit(json.loads(os.environ[ENVIRONMENT]))
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
    uvicorn.run(
        "conversation_kit.cli:make_served_app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        access_log=False,
        timeout_graceful_shutdown=5,
        http=Connection,
    )


async def _try_storage(kit: ConversationKit) -> None:
    """Open the storage and close it again, so that what is wrong with it is told before any worker starts."""
    async with kit.lifespan():
        pass


def make_served_app() -> ASGIApp:
    """The application that ``serve`` runs, in each of its processes."""
    options = json.loads(os.environ[ENVIRONMENT])
    kit = _make_served_kit(options)
    return kit.middleware(Starlette(lifespan=_settled), options["path"])


@asynccontextmanager
async def _settled(app: Starlette) -> AsyncIterator[None]:
    """What is there once the server has started stays: the collector of garbage need not look through it again and again."""
    gc.collect()
    gc.freeze()
    yield


def _make_served_kit(options: dict[str, Any]) -> ConversationKit:
    keys: dict[str, str | bytes] = {}
    for entry in options["applications"]:
        application_id, equals, file = entry.partition("=")
        if not (application_id and equals and file):
            raise ConfigurationError(f"--application takes ID=PUBLIC_PEM, not {entry!r}.")
        if application_id in keys:
            raise ConfigurationError(f"--application names {application_id!r} twice.")
        keys[application_id] = Path(file).read_bytes()
    return ConversationKit(
        storage=options["storage"],
        auth=JWTAuthenticator(keys),
        public_url=options["public_url"],
        ticket_secret=options["ticket_secret"],
        broker=options["broker"],
    )


def _demo(options: argparse.Namespace) -> None:
    uvicorn = _uvicorn()
    from conversation_kit.demo import make_demo

    if not (options.directory / "private.pem").exists():
        write_key_pair(options.directory)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Listening comes first: by the time that the instructions are printed their port is known, and whoever follows them is heard.
    with socket.create_server((options.host, options.port), family=family) as listener:
        host = f"[{options.host}]" if family == socket.AF_INET6 else options.host
        app = make_demo(options.directory, f"http://{host}:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=5))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError:
        _fail("serving needs uvicorn: pip install 'conversation-kit[cli]'")
    return uvicorn
