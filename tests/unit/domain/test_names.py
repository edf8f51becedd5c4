"""Names that people can tell apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.values.names import check_name

FINE = ["", "ana", "Ana B.", "a@b.example", "é", "Ünïcode 🙂", "👩‍👩‍👧", "می‌خواهم", "क्‍ष", "日本語", "a" * 255, "❤️"]
WRONG = [
    *[" ", "\t", "\u00a0", "ana ", " ana", "ana\n", "\u3000ana", "a\nb", "a\x7fb"],
    *[
        "\u200b",
        "a\u200bb",
        "\ufeffana",
        "ana\u2060",
        "a\u00adb",
        "\u202eana",
        "é\u200eé",
        "\u3164",
        "a\u200db",
        "é\u200d",
        "\u200cé",
        "é\u200d\u200dé",
    ],
    *["e\u0301", "n\u0303andu", "\u212b", "a" * 256, "a\0b"],
]


@pytest.mark.parametrize("name", FINE)
def test_a_name_of_any_script_is_taken_as_it_is(name: str) -> None:
    assert check_name("name", name) == name


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_looks_like_nothing_or_like_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        check_name("name", name)


@given(st.text(max_size=12))
def test_no_two_names_differ_in_how_they_are_composed_or_in_what_is_around_them(text: str) -> None:
    accepted = set()
    for form in ("NFC", "NFD"):
        for name in (unicodedata.normalize(form, text), f" {text}", f"{text}\u200b"):
            try:
                accepted.add(check_name("name", name))
            except InvalidInput:
                continue
    assert len(accepted) <= 1
