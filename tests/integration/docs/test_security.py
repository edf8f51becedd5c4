"""The figures in SECURITY.md are those of the code, and what it links to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conversation_kit.auth import jwt_authenticator, key_sources, keys
from conversation_kit.domain import rules
from conversation_kit.http.live import tickets, websocket
from conversation_kit.http.serving import refusals, request

ROOT = Path(__file__).parents[3]
TEXT = " ".join((ROOT / "SECURITY.md").read_text().split())


@pytest.mark.parametrize(
    "figure",
    [
        f"RSA keys of at least {keys.MIN_KEY_BITS} bits",
        f"body has at most {request.MAX_BODY:,} bytes and {request.BODY_SECONDS:g} seconds",
        f"WebSocket message {websocket.MAX_FRAME:,} bytes",
        f"token {jwt_authenticator.MAX_TOKEN:,} characters",
        f"for one stream, for {tickets.LIFETIME} seconds",
        f"at most {refusals.PER_SECOND:g} a second",
        f"up to {rules.CREATION_LEEWAY.total_seconds():g} seconds older",
    ],
)
def test_a_figure_is_that_of_the_code(figure: str) -> None:
    assert figure in TEXT


def test_keys_that_are_fetched_are_fresh_for_five_minutes() -> None:
    assert "within five minutes where keys are fetched" in TEXT
    assert key_sources.FRESH_SECONDS == 5 * 60


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_a_link_leads_to_a_file_and_a_heading(link: str) -> None:
    path, _, anchor = link.partition("#")
    page = (ROOT / path).read_text()
    headings = [heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)]
    assert not anchor or anchor in headings
