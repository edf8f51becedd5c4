"""Types as the authors of hosts meet them: right code passes mypy and pyright in their strict modes, and each mistake is found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.npm import install

HERE = Path(__file__).parent
MISTAKES = (HERE / "mistakes.txt").read_text()
WRONG = {number for number, line in enumerate(MISTAKES.splitlines(), 1) if "  # " in line}
Found = dict[str, dict[int, str]]
"""What is wrong, by file and line."""


def by_mypy(folder: Path, names: Sequence[str]) -> Found:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "--cache-dir", os.devnull, *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Found = {name: {} for name in names}
    for name, line, text in re.findall(r"^([^:\n]+):(\d+): error: (.+)$", done.stdout, re.M):
        found[name][int(line)] = text
    return found


def by_pyright(folder: Path, names: Sequence[str]) -> Found:
    installed = install(HERE / "package.json")
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": names}))
    command = ["node", str(installed / "node_modules" / "pyright" / "index.js"), "--pythonpath", sys.executable, "--outputjson", "-p", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == len(names), done.stdout
    found: Found = {name: {} for name in names}
    for one in told["generalDiagnostics"]:
        if one["severity"] == "error":
            found[Path(one["file"]).name][one["range"]["start"]["line"] + 1] = one["message"]
    return found


@pytest.mark.parametrize("check", [by_mypy, by_pyright], ids=["mypy", "pyright"])
def test_a_hosts_code_has_the_types_that_it_expects_and_each_mistake_is_found_where_it_is(
    check: Callable[[Path, Sequence[str]], Found], tmp_path: Path
) -> None:
    # Both at once: most of the time goes into reading what they import.
    (tmp_path / "user_code.py").write_text((HERE / "user_code.py").read_text())
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    found = check(tmp_path, ["user_code.py", "mistakes.py"])
    assert found["user_code.py"] == {}
    assert WRONG - set(found["mistakes.py"]) == set(), found
