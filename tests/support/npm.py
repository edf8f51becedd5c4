"""Packages of npm for tests: outside of the source tree, and kept from one run to the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INSTALL = ("install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1")
SECONDS = 120.0


def install(package: Path) -> Path:
    """Return the folder in which what a ``package.json`` wants is installed. Skips the test where that cannot be done, and says why."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    wanted = package.read_text()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conversation-kit-tests" / package.parent.name
    stamp = folder / "installed.json"
    with _alone(folder):
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "package.json").write_text(wanted)
            try:
                subprocess.run(["npm", *INSTALL], cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS)
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm install took longer than {SECONDS:.0f} s")
            except subprocess.CalledProcessError as error:
                reasons = [line for line in error.stderr.splitlines() if "code" in line] or [f"it ended with {error.returncode}"]
                pytest.skip(f"npm install failed: {reasons[0]}")
            stamp.write_text(wanted)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one of the processes that run tests is in this block."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
