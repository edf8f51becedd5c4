"""The application that `serve` runs in each of its processes."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from conversation_kit.auth import JWTAuthenticator
from conversation_kit.cli.application_keys import applications_of
from conversation_kit.cli.limits import limits_of
from conversation_kit.cli.server import quiet_log
from conversation_kit.http.serving.mounting import ASGIApp
from conversation_kit.http.serving.origins import check_allowed
from conversation_kit.kit import ConversationKit

ENVIRONMENT = "CONVERSATION_KIT_SERVE"
"""Carries the options of ``serve`` to its worker processes, as JSON. Its secrets are what the URLs hold, and the one that seals tickets."""


def make_served_app() -> ASGIApp:
    """Make the application from the options in the environment."""
    options = json.loads(os.environ[ENVIRONMENT])
    kit = make_served_kit(options)
    quiet_log()
    app: ASGIApp = kit.middleware(Starlette(lifespan=_settled), options["path"])
    return allow_origins(app, options["allowed_origins"]) if options["allowed_origins"] else app


def allow_origins(app: ASGIApp, origins: Iterable[str]) -> ASGIApp:
    """Return ``app`` with the CORS answers that pages of these origins need to call the API and to read its streams."""
    return CORSMiddleware(
        app,
        allow_origins=[str(origin) for origin in check_allowed(origins)],
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        expose_headers=["Idempotent-Replayed", "Link", "Retry-After", "RateLimit", "RateLimit-Policy"],
    )


@asynccontextmanager
async def _settled(app: Starlette) -> AsyncIterator[None]:
    """Freeze what is there once the server has started: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    yield


def make_served_kit(options: dict[str, Any]) -> ConversationKit:
    """Make the kit that the options describe. Raises ``ConfigurationError`` for those that are wrong, ``OSError`` for missing keys."""
    return ConversationKit(
        storage=options["storage"],
        auth=JWTAuthenticator(applications_of(options["applications"]), max_lifetime=options["max_token_age"]),
        public_url=options["public_url"],
        ticket_secret=options["ticket_secret"],
        broker=options["broker"],
        allowed_origins=options["allowed_origins"],
        docs=options["docs"],
        join=options["join"],
        meter=options["meter"],
        **limits_of(options["limits"]),
    )
