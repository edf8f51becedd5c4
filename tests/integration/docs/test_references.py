"""The documents that code, tests and pages refer to are in the repository."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("conversation_kit", "adapters", "tests", "examples", "benchmarks", "docs")
DOCUMENT = re.compile(r"\b(?:[\w-]+/)*(?:[A-Z]{4,}|[a-z]{3,})\.md\b")
SECTION = re.compile(r"\([A-Z]{4,} (?:section [0-9]|[0-9]+\.[0-9])[0-9.]*")
ELSEWHERE = ("page.md",)
"""Names that tests give to files of their own."""


def test_the_documents_that_files_name_are_in_the_repository() -> None:
    files = [
        file for folder in FOLDERS for end in ("py", "md", "js") for file in (ROOT / folder).rglob(f"*.{end}") if file != Path(__file__)
    ]
    assert len(files) > 100
    absent = []
    for file in (*files, *ROOT.glob("*.md")):
        if "swagger_ui" in file.parts:
            continue
        text = re.sub(r"https?://\S+", "", file.read_text())
        for name in DOCUMENT.findall(text):
            if name not in ELSEWHERE and not any((folder / name).exists() for folder in (ROOT, ROOT / "docs", file.parent)):
                absent.append(f"{file.relative_to(ROOT)}: {name}")
        absent += [f"{file.relative_to(ROOT)}: {found}" for found in SECTION.findall(text)]
    assert absent == []
