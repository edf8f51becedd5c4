"""The browser on this machine."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.databases import REQUIRED_VARIABLE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Where Chromium is. Skips the test where there is none, and fails it where everything has to be tested."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get(REQUIRED_VARIABLE) else pytest.skip)("there is no chromium on the PATH")
    return CHROMIUM
