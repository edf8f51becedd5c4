from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.domain.values.ids import new_id, uuid7
from conversation_kit.domain.values.times import now, parse_instant, to_milliseconds, to_text

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones | st.just(UTC))


@given(instants)
def test_an_instant_is_written_in_utc_to_the_millisecond_and_reads_back(instant: datetime) -> None:
    text = to_text(instant)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert parse_instant(text) == to_milliseconds(instant)


@given(instants, instants)
def test_texts_sort_as_their_instants_do(one: datetime, other: datetime) -> None:
    if to_milliseconds(one) < to_milliseconds(other):
        assert to_text(one) < to_text(other)


@pytest.mark.parametrize(
    "text", ["2018-01-01 10:00:00", "2018-01-01T10:00:00", "2018-01-01T10:00:00Z", "2018-01-01T11:00:00+01:00", "2018-01-01T10"]
)
def test_the_forms_that_clients_send_are_the_same_instant(text: str) -> None:
    assert parse_instant(text) == datetime(2018, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1701111122334", datetime(2023, 11, 27, 18, 52, 2, 334000, tzinfo=UTC)),
        ("1701111122", datetime(2023, 11, 27, 18, 52, 2, tzinfo=UTC)),
        ("0000000000000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2018-01-01", datetime(2018, 1, 1, tzinfo=UTC)),
        ("2018-01-01t10:00:00.1239z", datetime(2018, 1, 1, 10, 0, 0, 123900, tzinfo=UTC)),
    ],
)
def test_epochs_and_dates_are_read_as_what_they_are(text: str, expected: datetime) -> None:
    assert parse_instant(text) == expected


@given(st.from_regex("[0-9]{1,20}", fullmatch=True))
def test_digits_are_an_epoch_of_this_era_or_refused(text: str) -> None:
    if len(text) in (10, 13):
        assert parse_instant(text).year >= 1970
    else:
        with pytest.raises(ValueError):
            parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2018",
        "2018-01",
        "2018-13-01",
        "20180101",
        "9999-12-31T23:59:59-12:00",
        "10:00",
        "2018-01-01x10:00",
        "2018-W01-1",
        "+1701111122",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


def test_now_is_what_is_written() -> None:
    instant = now()
    assert instant.tzinfo is UTC
    assert parse_instant(to_text(instant)) == instant


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        assert parse_instant(text).tzinfo is not None
    except ValueError:
        return


def test_ids_sort_by_their_making_and_are_version_7() -> None:
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(one.version == 7 and one.variant == "specified in RFC 4122" for one in made)
    assert re.fullmatch(r"CON-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", new_id("CON"))


def test_ids_of_several_threads_never_collide() -> None:
    made: list[str] = []

    def make() -> None:
        made.extend(new_id("MEM") for _ in range(2000))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000
