"""The tests themselves: what tests share lies in modules of its own."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.integration.docs.repository import ROOT

TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Return the modules that a file imports from, those of programs in its strings too."""
    found = []
    sources = [path.read_text()]
    while sources:
        try:
            tree = ast.parse(sources.pop())
        except SyntaxError:
            continue  # a text that is no program
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value and "\n" in node.value:
                sources.append(node.value)
    return found


def test_no_module_imports_from_one_with_tests() -> None:
    faults = [(str(path.relative_to(ROOT)), name) for path in TESTS for name in imports(path) if ".test_" in name]
    assert faults == []


def test_every_test_lies_in_the_folder_of_its_kind() -> None:
    kinds = {path.relative_to(ROOT / "tests").parts[0] for path in TESTS if path.name.startswith("test_")}
    assert kinds == {"unit", "contract", "integration", "faults", "browser", "clients"}


def test_unit_tests_use_no_storage_of_a_database_and_no_server() -> None:
    needs = ("conversation_kit_sql", "sqlalchemy", "uvicorn", "hypercorn", "tests.support.databases", "tests.support.processes")
    faults = [(str(path), name) for path in (ROOT / "tests" / "unit").rglob("*.py") for name in imports(path) if name.startswith(needs)]
    assert faults == []
