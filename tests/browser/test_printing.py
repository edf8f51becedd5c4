"""What the demo prints of what people say."""

from __future__ import annotations

import pytest

from conversation_kit.demo.host import _say


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("one\r\ntwo", r"one\r\ntwo"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("half \ud83d", r"half \ud83d"),
        ("Grüße 🎈 👨\u200d👩", "Grüße 🎈 👨\u200d👩"),
    ],
)
def test_a_terminal_shows_what_was_said_and_obeys_none_of_it(said: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    _say(said)
    out = capsys.readouterr().out
    assert out[:2] == "  "
    assert out[12:] == shown + "\n"
