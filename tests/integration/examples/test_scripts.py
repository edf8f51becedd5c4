"""The examples that are scripts print what they show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"


def lines_of(script: str, folder: Path) -> list[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLES / script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_reacting(tmp_path: Path) -> None:
    lines = lines_of("reacting.py", tmp_path)
    for expected in (
        "ana joined",
        "event 2: text Welcome, ana!",
        "event 3: text where is my d**n parcel?",
        "refused with shop:error:advert: No adverts in here, please.",
        "event 4: custom:rating",
        "rated with 4 stars",
        "leg of type phone ended: completed",
    ):
        assert lines.count(expected) == 1, lines
    assert not any("BUY NOW" in line for line in lines)
    # What was refused took no id.
    assert lines.index("refused with shop:error:advert: No adverts in here, please.") < lines.index("event 4: custom:rating")


def test_custom_storage(tmp_path: Path) -> None:
    lines = lines_of("custom_storage.py", tmp_path)
    assert lines[:2] == ["['the first visit']", "['the first visit', 'the second visit']"]
    assert [line.startswith('{"application_id":"default","conversation_id":"CON-') for line in lines[2:]] == [True, True]
    assert ['"changes":{"result":null,"new_conversation":' in line for line in lines[2:]] == [True, True]
