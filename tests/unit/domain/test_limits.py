from __future__ import annotations

from typing import Any

import pytest

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.values.limits import Limits, Quotas, Rate
from conversation_kit.ports.metering import Taking, settle, sunken


def taking(amount: int, rate: Rate, key: str = "events:ana") -> Taking:
    return Taking("app", key, amount, rate)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1/second", Rate(1, 1)), ("600/minute", Rate(600)), ("5/hour", Rate(5, 3600)), ("1000000000000/day", Rate(10**12, 86_400))],
)
def test_a_rate_is_read_from_its_text(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == text.replace("/", " per ")


@pytest.mark.parametrize(
    "text", ["", "600", "600/", "/minute", "0/minute", "-1/minute", "6.5/minute", "600/week", "٦/minute", "600/minute\n"]
)
def test_what_is_no_rate_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Quotas, events: "):
        Quotas(events=text)


@pytest.mark.parametrize("values", [(0,), (-1,), (1.5,), (True,), (10**13,), (1, 0), (1, 0.5), (1, 86_401)])
def test_a_rate_has_whole_numbers(values: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match="Rate takes a whole number from 1 to "):
        Rate(*values)


def test_settings_of_another_type_are_refused_with_their_field() -> None:
    with pytest.raises(ConfigurationError, match="for conversations, not 600"):
        Quotas(conversations=600)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="for per_application, not "):
        Limits(per_application={"events": "1/second"})  # type: ignore[arg-type]


def test_a_quota_of_bytes_has_room_for_the_largest_body() -> None:
    assert Quotas(event_bytes=Rate(65_536)).rates == {"event_bytes": Rate(65_536)}
    with pytest.raises(ConfigurationError, match="at least 65536 for event_bytes"):
        Quotas(event_bytes="65535/day")


def test_limits_without_a_rate_are_none() -> None:
    assert not Limits()
    assert Limits(per_application=Quotas(tickets="1/second"))


def test_what_was_used_comes_back_evenly() -> None:
    rate = Rate(600)
    assert sunken(600, 0, rate) == 600
    assert sunken(600, 0.1, rate) == 599
    assert sunken(600, 60, rate) == 0
    assert sunken(600, 1e9, rate) == 0
    assert sunken(600, -3600, rate) == 600


def test_a_taking_fits_up_to_the_amount_and_not_beyond() -> None:
    is_enough, (reading,) = settle([taking(3, Rate(10))], [7])
    assert (is_enough, reading.is_enough, reading.level, reading.remaining) == (True, True, 10, 0)
    assert reading.seconds == 6
    is_enough, (reading,) = settle([taking(3, Rate(10))], [8])
    assert (is_enough, reading.is_enough, reading.level, reading.remaining) == (False, False, 8, 2)
    assert reading.seconds == 6


def test_of_several_takings_all_happen_or_none() -> None:
    takings = [taking(1, Rate(10)), taking(5, Rate(10), "event_bytes:ana")]
    is_enough, readings = settle(takings, [0, 6])
    assert not is_enough
    assert [(reading.is_enough, reading.level) for reading in readings] == [(True, 0), (False, 6)]


def test_a_third_of_a_second_at_a_time_adds_up() -> None:
    rate, level = Rate(1, 1), 1.0
    for _ in range(3):
        level = sunken(level, 1 / 3, rate)
    assert settle([taking(1, rate)], [level])[0]
