"""Blocks of code of the documentation, and those of Python as functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.docs.repository import ROOT

BLOCK = re.compile(
    r"^(?:(?P<skip><!-- not run: \S[^\n]* -->\n)|<!-- from (?P<source>\S+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    skipped: bool
    source: str | None = None
    """The file that it is a part of, if it says so."""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page.name, line, found["language"], found["text"], found["skip"] is not None, found["source"])


def functions(page: str) -> dict[str, Any]:
    """Run the Python blocks of a page of docs/, and return what they define."""
    namespace: dict[str, Any] = {"__name__": page}
    for block in blocks(ROOT / "docs" / page):
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, page, "exec", dont_inherit=True), namespace)
    return namespace
