"""The port that ``docs/storage.md`` shows, and the numbers that README.md tells, are those of the code."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from conversation_kit import Storage
from conversation_kit.http.beta.api import OPERATIONS
from conversation_kit.ports import TransactionalStorage

PAGE = Path(__file__).parents[3] / "docs" / "storage.md"
COROUTINE = re.compile(r"Coroutine\[Any, Any, (.*)\]")
README = Path(__file__).parents[3] / "README.md"


def signatures(protocol: type) -> list[str]:
    """The methods and properties that a protocol's own body has, one a line, in its order."""
    (body,) = ast.parse(inspect.getsource(protocol)).body
    assert isinstance(body, ast.ClassDef)
    found = []
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.returns is not None
            # What returns a coroutine is an ``async def`` to who writes one.
            coroutine = COROUTINE.fullmatch(ast.unparse(node.returns))
            returns = coroutine[1] if coroutine else ast.unparse(node.returns)
            start = "async def" if coroutine or isinstance(node, ast.AsyncFunctionDef) else "def"
            if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
                found.append(f"{node.name}: {ast.unparse(node.returns)}")
            else:
                found.append(f"{start} {node.name}({ast.unparse(node.args)}) -> {returns}")
    return found


def test_the_page_shows_the_signatures_of_the_port() -> None:
    blocks = re.findall(r"```text\n((?:async def|capabilities).*?)```", PAGE.read_text(), re.DOTALL)
    shown = [[" ".join(each.split()) for each in block.strip().splitlines()] for block in blocks]
    assert shown == [signatures(Storage), signatures(TransactionalStorage)]


def test_the_page_says_how_many_methods_the_port_has() -> None:
    methods = [one for one in signatures(Storage) if "def " in one]
    assert f"is a protocol with {len(methods)} methods" in " ".join(PAGE.read_text().split())
    assert f"is an object with {len(methods)} methods" in " ".join(README.read_text().split())


def test_the_readme_says_how_many_operations_the_api_has() -> None:
    assert f"all {len(OPERATIONS)} operations" in " ".join(README.read_text().split())
