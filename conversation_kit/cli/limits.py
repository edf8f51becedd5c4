"""Limits of the command line: those that hold by themselves, and what ``--limit`` makes of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.values.limits import Limits, Quotas
from conversation_kit.http.live.streams import StreamLimits

DEFAULTS = (
    "events=600/minute",
    "event_bytes=6000000/minute",
    "conversations=100/hour",
    "invitations=200/hour",
    "tickets=120/minute",
)
"""Limits of each user unless the command line has others."""

NONE = "none"
"""Value that lifts a limit."""

APPLICATION = "application."
"""Beginning of the name of a limit of all users of an application together."""

STREAMS = "streams"
"""Name of the number of streams that may be open at once in each process."""

NAMES = (STREAMS, *(one.name for one in fields(Quotas)))


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add ``--limit``, ``--no-limits`` and ``--meter``."""
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=RATE",
        help="how much a user may create, such as events=600/minute, or events=none; an application: application.events=60000/minute. "
        f"Names: {', '.join(NAMES)}; streams take a number, such as streams=20. Without it: {', '.join(DEFAULTS)}",
    )
    parser.add_argument("--no-limits", action="store_true", help="limit nothing that a user may create in a time")
    parser.add_argument(
        "--meter",
        metavar="URL",
        help="what counts for the limits of all workers and servers: storage (the storage's own database) or redis://host; "
        "by default each worker counts for itself",
    )


def chosen(options: argparse.Namespace) -> Sequence[str] | None:
    """Return the limits that the options ask for, as texts, or ``None`` for none. Raises ``ConfigurationError`` for a contradiction."""
    if not options.no_limits:
        return (*DEFAULTS, *options.limit)
    if options.limit or options.meter is not None:
        raise ConfigurationError("--no-limits goes neither with --limit nor with --meter.")
    return None


def limits_of(texts: Iterable[str] | None) -> dict[str, Any]:
    """Return ``limits`` and ``stream_limits`` of a kit, the last one of each name. Raises ``ConfigurationError``."""
    quotas: dict[str, dict[str, str]] = {"": {}, APPLICATION: {}}
    for text in texts or ():
        name, _, value = text.partition("=")
        scope = APPLICATION if name.startswith(APPLICATION) else ""
        noun = name.removeprefix(scope)
        if noun not in NAMES or not value:
            raise ConfigurationError(f"--limit takes {', '.join(NAMES)} with a rate, such as events=600/minute, and not {text!r}.")
        quotas[scope].pop(noun, None)
        if value != NONE or noun == STREAMS:
            quotas[scope][noun] = value
    streams = {
        field: _number(quotas[scope].pop(STREAMS))
        for field, scope in (("per_user", ""), ("per_application", APPLICATION))
        if STREAMS in quotas[scope]
    }
    limits = Limits(Quotas(**quotas[""]), Quotas(**quotas[APPLICATION]))
    return {"limits": limits if texts is not None else None, "stream_limits": StreamLimits(**streams)}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ConfigurationError(f"--limit streams= takes a number of at least 1, not {text!r}.")
    return int(text)
