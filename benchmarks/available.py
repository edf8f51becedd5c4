"""Servers that can be measured here."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec

from benchmarks.apps import Spec
from benchmarks.databases import MARIADB_VARIABLE, POSTGRES_VARIABLE, own_database, why_not
from benchmarks.subjects import TUTORIALS

NEEDS = {
    "fastapi": ("fastapi", "greenlet"),
    "fastapi sqlite": ("aiosqlite",),
    "django": ("django", "rest_framework"),
    "django postgres": ("psycopg_pool",),
    "hypercorn": ("hypercorn", "trio"),
}
"""The modules that a server needs beyond the kit's own, by its name or the first word of it."""


def add_databases(parser: ArgumentParser) -> None:
    """Add the options that name database servers; the environment names them otherwise."""
    for name, variable in (("postgres", POSTGRES_VARIABLE), ("mariadb", MARIADB_VARIABLE)):
        parser.add_argument(f"--{name}", metavar="URL", default=os.environ.get(variable), help=f"default: {variable} in the environment")


def specs(arguments: Namespace, public_key: str, stack: ExitStack, folder: str) -> Iterator[tuple[str, Spec]]:
    """Yield the servers by name, the bare ones excepted, each with a database of its own while ``stack`` is open.

    Says on the standard output what is left out and why.
    """
    servers = {"postgres": arguments.postgres, "mariadb": arguments.mariadb}
    for name, variable in (("postgres", POSTGRES_VARIABLE), ("mariadb", MARIADB_VARIABLE)):
        reason = why_not(servers[name], variable)
        if reason is not None:
            print(f"{name} is left out: {reason}")
            servers[name] = None

    def url(name: str, database: str) -> str:
        if database == "memory":
            return "memory://"
        if database == "sqlite":
            return f"sqlite:///{folder}/{name.replace(' ', '-')}.db"
        own = f"conversation_kit_bench_{os.getpid()}_{name.replace(' ', '_')}"
        return stack.enter_context(own_database(servers[database], own))

    for database in ("memory", "sqlite", "postgres", "mariadb"):
        if servers.get(database, True):
            yield database, Spec("kit", public_key, url(database, database))
    for database in ("sqlite", "postgres"):
        if servers.get(database, True):
            yield f"raw {database}", Spec("raw", public_key, url(f"raw {database}", database))
    for whose in TUTORIALS:
        for database in ("sqlite", "postgres"):
            name = f"{whose} {database}"
            if servers.get(database, True) and is_installed(name):
                yield name, Spec("fastapi" if whose == "fastapi" else "django", public_key, url(name, database))
    for database in ("memory", "sqlite"):
        name = f"mounted {database}"
        yield name, Spec("kit", public_key, url(name, database), mounted=True)
    for database in ("memory", "sqlite"):
        name = f"hypercorn {database}"
        if is_installed(name):
            yield name, Spec("kit", public_key, url(name, database), runtime="hypercorn")


def is_installed(name: str) -> bool:
    """Tell whether everything that this server needs is installed, and print what is missing."""
    needed = (*NEEDS.get(name.partition(" ")[0], ()), *NEEDS.get(name, ()))
    missing = [module for module in needed if find_spec(module) is None]
    if missing:
        print(f"{name} is left out: {', '.join(missing)} not installed; make bench installs it")
    return not missing
