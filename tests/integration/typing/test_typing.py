"""Types as the authors of hosts meet them: right code passes mypy and pyright in their strict modes, and each mistake is found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.npm import install

HERE = Path(__file__).parent
MISTAKES = (HERE / "mistakes.txt").read_text()
WRONG = {number for number, line in enumerate(MISTAKES.splitlines(), 1) if "  # " in line}
Checker = Callable[[Path], dict[int, str]]
"""Takes a file and returns what is wrong, by line."""


def by_mypy(file: Path) -> dict[int, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "--cache-dir", str(file.parent / "cache")]
    done = subprocess.run([*command, str(file)], cwd=file.parent, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line): text for line, text in re.findall(r"^[^:\n]+:(\d+): error: (.+)$", done.stdout, re.M)}


def by_pyright(file: Path) -> dict[int, str]:
    folder = install(HERE / "package.json")
    (file.parent / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": [file.name]}))
    command = ["node", str(folder / "node_modules" / "pyright" / "index.js"), "--pythonpath", sys.executable, "--outputjson", "-p", "."]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1, done.stdout
    return {one["range"]["start"]["line"] + 1: one["message"] for one in found["generalDiagnostics"] if one["severity"] == "error"}


checkers = pytest.mark.parametrize("check", [by_mypy, by_pyright], ids=["mypy", "pyright"])


@checkers
def test_a_hosts_code_has_the_types_that_it_expects(check: Checker, tmp_path: Path) -> None:
    file = tmp_path / "user_code.py"
    file.write_text((HERE / "user_code.py").read_text())
    assert check(file) == {}


@checkers
def test_each_mistake_of_a_host_is_found_where_it_is(check: Checker, tmp_path: Path) -> None:
    file = tmp_path / "mistakes.py"
    file.write_text(MISTAKES)
    found = check(file)
    assert WRONG - set(found) == set(), found
