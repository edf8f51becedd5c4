"""Which events a range means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.domain.reading import EventRange

IDS = st.none() | st.integers(-3, 25) | st.sampled_from([2**31, 2**53, -(2**53)])


@given(
    last_id=st.integers(0, 20),
    size=st.integers(1, 25) | st.just(2**53),
    index=st.integers(0, 25) | st.just(2**53),
    descending=st.booleans(),
    start_id=IDS,
    end_id=IDS,
)
def test_a_range_is_what_is_left_when_all_else_is_taken_away(
    last_id: int, size: int, index: int, descending: bool, start_id: int | None, end_id: int | None
) -> None:
    log = list(range(1, last_id + 1))
    kept = [id for id in log if (start_id is None or id >= start_id) and (end_id is None or id <= end_id)]
    if descending:
        kept.reverse()
    assert list(EventRange(size, index, descending, start_id, end_id).ids(last_id)) == kept[index : index + size]


@given(last_id=st.integers(0, 40), size=st.integers(1, 10), descending=st.booleans(), start_id=IDS, end_id=IDS)
def test_pages_put_together_are_the_whole_range(
    last_id: int, size: int, descending: bool, start_id: int | None, end_id: int | None
) -> None:
    whole = list(EventRange(100, 0, descending, start_id, end_id).ids(last_id))
    found: list[int] = []
    while page := EventRange(size, len(found), descending, start_id, end_id).ids(last_id):
        found += page
    assert found == whole


@given(first=st.integers(0, 20), grown=st.integers(0, 20), size=st.integers(1, 10))
def test_a_reader_who_resumes_by_id_finds_what_came_meanwhile(first: int, grown: int, size: int) -> None:
    seen = list(EventRange(100).ids(first))
    while page := EventRange(size, start_id=len(seen) + 1).ids(first + grown):
        seen += page
    assert seen == list(range(1, first + grown + 1))
