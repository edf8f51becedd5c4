"""The address of the repository, and the files that links to it name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS: str = PROJECT["urls"]["Repository"]
RAW = ADDRESS.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
PREFIXES = (f"{ADDRESS}/blob/main/", f"{ADDRESS}/tree/main/", RAW)


def file_of(url: str) -> Path | None:
    """Return the file of this checkout that an address names, ``None`` for any other address."""
    return next((ROOT / url.removeprefix(prefix) for prefix in PREFIXES if url.startswith(prefix)), None)


DOCUMENTED = [name for page in (ROOT / "docs" / "reference").glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.M)]
