"""The words that the glossary reserves, in the names of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docs.repository import ROOT

SECTION = "## Reserved words in the code"
TABLE = (ROOT / "docs" / "glossary.md").read_text().partition(SECTION)[2]
ROWS = re.findall(r"^\| ([a-z, ]+) \| .+ \| ((?!stands in).+) \|$", TABLE, re.M)
RESERVED = {
    word.strip(): re.findall(r"`([^`]+)`", places) for words, places in ROWS for word in words.split(",") if "anywhere" not in places
}
ROOTS = (ROOT / "conversation_kit", ROOT / "adapters")
FOREIGN = {"call_soon", "_call_soon", "__call__", "handle_signals"}
"""Names from Python, its event loops, and the signals of operating systems."""


def names(path: Path) -> Iterator[str]:
    """Yield the names that a file gives to things, its own one too."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def words(name: str) -> set[str]:
    """Return the words of a name in small letters, each in the singular."""
    if name in FOREIGN:
        return set()
    return {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def stands_in(path: Path, places: list[str]) -> bool:
    """Tell whether one of the places holds the file; a folder of the SQL adapter is named alone."""
    text = "/" + path.relative_to(ROOT).as_posix()
    return any(f"/{place}" in text if place.endswith("/") else text.endswith(f"/{place}") for place in places)


def test_the_glossary_has_the_words() -> None:
    assert {"joined", "signal", "call", "line", "ticket", "outbox", "relay", "guest"} == set(RESERVED)


@pytest.mark.parametrize("word", RESERVED)
def test_a_reserved_word_stands_where_the_glossary_says(word: str) -> None:
    files = [path for root in ROOTS for path in root.rglob("*.py") if "testing" not in path.parts]
    faults = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        if not stands_in(path, RESERVED[word])
        for name in names(path)
        if word in words(name)
    ]
    assert faults == []


def test_no_legs_are_hung_up_where_there_are_none() -> None:
    folders = (ROOT / "conversation_kit" / "live", ROOT / "conversation_kit" / "brokers", ROOT / "conversation_kit" / "hooks")
    assert [name for folder in folders for path in folder.rglob("*.py") for name in names(path) if {"hang", "up"} <= words(name)] == []
