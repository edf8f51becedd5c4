"""Wakes as they wait and as they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit import BrokerMessage, EphemeralEvent, LogAdvanced
from conversation_kit.brokers.messages import MAX_EPHEMERAL_EVENTS, MAX_PENDING, MAX_TEXT, PendingMessages, read, write

WAKES = st.builds(
    LogAdvanced, st.text(max_size=300), st.text(max_size=300), st.integers(1, 2**53), st.lists(st.text(max_size=60), max_size=5).map(tuple)
)


WHISPERS = st.builds(EphemeralEvent, st.text(max_size=300), st.text(max_size=300), st.text(max_size=30), st.text(max_size=300))


@given(st.lists(WAKES | WHISPERS, max_size=40))
def test_what_is_written_is_read_and_no_text_is_too_long(messages: list[BrokerMessage]) -> None:
    texts = list(write(messages))
    assert [one for text in texts for one in read(text)] == messages
    assert all(text.isascii() and len(text) <= MAX_TEXT for text in texts)


def test_what_could_not_be_sent_waits_again_unless_it_was_of_the_moment() -> None:
    pending = PendingMessages()
    pending.add([LogAdvanced("app", "CON-1", 5, ("USR-1",)), EphemeralEvent("app", "CON-1", "w1", "{}")])
    messages = pending.take()
    assert len(messages) == 2
    pending.add([LogAdvanced("app", "CON-1", 6, ("USR-2", "USR-1"))])
    pending.add_again(messages)
    assert pending.take() == [LogAdvanced("app", "CON-1", 6, ("USR-2", "USR-1"))]


def test_of_too_many_whispers_the_oldest_are_lost() -> None:
    pending = PendingMessages()
    pending.add(EphemeralEvent("app", "CON-1", str(number), "{}") for number in range(MAX_EPHEMERAL_EVENTS + 3))
    assert [one.id for one in pending.take() if isinstance(one, EphemeralEvent)] == [
        str(number) for number in range(3, MAX_EPHEMERAL_EVENTS + 3)
    ]


def test_a_wake_that_fits_into_no_text_is_left_out() -> None:
    wakes = [LogAdvanced("app", "CON-1", 1), LogAdvanced("app", "☎" * MAX_TEXT, 2), LogAdvanced("app", "CON-3", 3)]
    assert [wake for text in write(wakes) for wake in read(text)] == [wakes[0], wakes[2]]


def test_many_wakes_fill_their_texts() -> None:
    wakes = [LogAdvanced("app", f"CON-{number}", number) for number in range(1, 5000)]
    texts = list(write(wakes))
    assert len(texts) < sum(map(len, texts)) / MAX_TEXT * 1.01 + 1


@pytest.mark.parametrize("last_id", [0, -1, 2**53 + 1, 1.0, "1", None, True, [1]])
def test_ids_that_no_event_has_are_refused(last_id: Any) -> None:
    with pytest.raises(ValueError, match="something else"):
        read(json.dumps([["app", "CON-1", last_id]]))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode(errors="replace")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        wakes = read(text)
    except ValueError:
        return
    assert wakes == [] or all(isinstance(wake, LogAdvanced | EphemeralEvent) for wake in wakes)


@pytest.mark.parametrize("text", ["[" * MAX_TEXT, "[" + "9" * 5000 + "]", " " * (MAX_TEXT + 1), '[["app", "CON-1", NaN]]'])
def test_texts_that_would_be_too_much_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"too|digits|else"):
        read(text)


def test_the_last_id_of_a_conversation_counts_and_only_the_first_one_wakes_anybody() -> None:
    pending = PendingMessages()
    assert pending.add([LogAdvanced("app", "CON-1", 5)])
    assert not pending.add([LogAdvanced("app", "CON-1", 3), LogAdvanced("app", "CON-2", 1)])
    assert len(pending) == 2
    assert pending.take() == [LogAdvanced("app", "CON-1", 5), LogAdvanced("app", "CON-2", 1)]
    assert pending.take() == []
    assert pending.add([LogAdvanced("app", "CON-1", 4)])


def test_what_waits_while_the_server_is_away_is_bounded() -> None:
    pending = PendingMessages()
    pending.add(LogAdvanced("app", f"CON-{number}", 1) for number in range(MAX_PENDING + 10))
    pending.add([LogAdvanced("app", "CON-7", 2)])
    assert len(pending) == MAX_PENDING
    assert LogAdvanced("app", "CON-7", 2) in pending.take()
