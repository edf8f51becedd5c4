"""The names of what services ask `authorize` for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import conversation_kit
from conversation_kit import ConversationKit, HostAuthenticator
from conversation_kit.domain.actions import ACTIONS
from conversation_kit.http.beta.api import BETA

PACKAGE = Path(conversation_kit.__path__[0])
GUIDE = Path(__file__).parents[3] / "docs" / "auth.md"


def constants(place: str = "services") -> Iterator[str]:
    """Yield the texts in the code at a place of the package that are no docstrings."""
    found = PACKAGE / place
    for path in (found,) if found.suffix else found.rglob("*.py"):
        tree = ast.parse(path.read_text())
        statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
                yield node.value


@pytest.mark.parametrize("place", ["services", "live", "hooks", "auth", "http/serving", "http/live", "http/app.py", "kit.py"])
def test_nothing_below_and_beside_an_api_names_its_operations_and_paths(place: str) -> None:
    operations = {operation.id for operation in BETA.operations}
    literals = {f"/{word}" for operation in BETA.operations for word in operation.path.split("/")[1::2]}
    texts = set(constants(place))
    assert operations & texts == set()
    assert [text for text in texts if any(literal in text for literal in literals)] == []


def test_services_ask_for_every_action_there_is() -> None:
    assert {text for text in constants() if re.fullmatch(r"(conversations|events|legs|members|users)\.[a-z_]+", text)} == ACTIONS


def test_an_action_is_the_method_of_the_kit_that_carries_it_out() -> None:
    kit = ConversationKit(storage="memory://", auth=HostAuthenticator(lambda connection: None))
    for action in ACTIONS:
        noun, method = action.split(".")
        assert callable(getattr(getattr(kit, noun), method)), action


def test_the_guide_lists_the_actions() -> None:
    table = GUIDE.read_text().partition("| `request.action` |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)} == ACTIONS
