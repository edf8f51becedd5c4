"""Cursors: what is written is read, by its owner alone, and nothing else is."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit import InvalidInput
from conversation_kit.live.cursors import MARK, Cursor, mark, positions

IDS = st.text(min_size=1, max_size=40)


def cursor_of(entries: dict[str, int], user_id: str = "USR-1") -> Cursor:
    cursor = Cursor("app", user_id)
    for conversation_id, position in entries.items():
        cursor.move(conversation_id, position)
    return cursor


def positions_or_none(text: str) -> dict[bytes, int] | None:
    try:
        return positions(text, "app", "USR-1")
    except InvalidInput:
        return None


@given(st.dictionaries(IDS, st.integers(0, 2**53), max_size=20))
def test_a_cursor_holds_a_position_for_each_conversation(entries: dict[str, int]) -> None:
    assert positions(cursor_of(entries).text, "app", "USR-1") == {mark(id): position for id, position in entries.items()}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), min_size=1))
def test_the_last_move_counts_and_what_is_dropped_is_gone(moves: list[tuple[str, int]]) -> None:
    cursor = Cursor("app", "USR-1")
    for conversation_id, position in moves:
        cursor.move(conversation_id, position)
    cursor.drop("a")
    cursor.drop("never there")
    assert positions(cursor.text, "app", "USR-1") == {mark(id): position for id, position in dict(moves).items() if id != "a"}


@given(st.dictionaries(IDS, st.integers(0, 2**53), max_size=5), st.text(max_size=10), st.text(max_size=10))
def test_a_cursor_is_good_for_its_user_only(entries: dict[str, int], application_id: str, user_id: str) -> None:
    text = cursor_of(entries).text
    if (application_id, user_id) != ("app", "USR-1"):
        with pytest.raises(InvalidInput):
            positions(text, application_id, user_id)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: urlsafe_b64encode(data).decode()))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    found = positions_or_none(text)
    assert found is None or all(len(name) == MARK and 0 <= position <= 2**53 for name, position in found.items())


@given(st.dictionaries(IDS, st.integers(0, 2**53), min_size=1, max_size=5), st.data())
def test_a_cursor_that_was_cut_off_is_refused_or_holds_fewer_conversations(entries: dict[str, int], data: st.DataObject) -> None:
    text = cursor_of(entries).text
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    found = positions_or_none(cut)
    assert found is None or len(found) < len(entries)


def test_a_cursor_of_a_user_with_many_conversations_fits_into_a_header() -> None:
    cursor = cursor_of({f"CON-{number}": 10_000 for number in range(500)})
    assert len(cursor.text) < 6_000


@pytest.mark.parametrize("tail", ["=", " ", "A"])
def test_a_cursor_has_one_spelling(tail: str) -> None:
    with pytest.raises(InvalidInput):
        positions(cursor_of({"CON-1": 1}).text + tail, "app", "USR-1")
