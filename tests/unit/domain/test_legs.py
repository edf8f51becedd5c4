"""How legs move on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.domain.channels import with_leg, without_leg
from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.legs import advance, check_leg_id, follows, new_leg
from conversation_kit.domain.models import LIVE, LegStatus
from conversation_kit.domain.values.checks import MAX_LEGS
from conversation_kit.domain.values.moments import Moment

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = (LegStatus.STARTED, LegStatus.RINGING, LegStatus.ANSWERED, LegStatus.COMPLETED)


@given(st.sampled_from(LegStatus), st.sampled_from(LegStatus))
def test_a_leg_never_goes_back_nor_repeats_and_ends_once(old: LegStatus, new: LegStatus) -> None:
    if old not in LIVE or new is LegStatus.STARTED or old is new:
        assert not follows(old, new)
    if old in LIVE and new in (LegStatus.COMPLETED, LegStatus.FAILED):
        assert follows(old, new)


@pytest.mark.parametrize("end", ["busy", "timeout", "unanswered", "cancelled", "rejected"])
def test_an_answered_leg_was_answered(end: str) -> None:
    assert not follows(LegStatus.ANSWERED, LegStatus(end))
    assert not follows(LegStatus.MACHINE, LegStatus(end))
    assert follows(LegStatus.STARTED, LegStatus(end))
    assert follows(LegStatus.RINGING, LegStatus(end))


@given(st.lists(st.sampled_from(ORDER), max_size=12))
def test_reports_of_a_call_lead_to_the_same_end_however_late_or_often_they_come(reports: list[LegStatus]) -> None:
    leg = new_leg("app", "phone", Moment(NOW))
    for number, status in enumerate(reports):
        if follows(leg.status, status):
            leg = advance(leg, status, NOW + timedelta(seconds=number))
    reached = [step["status"] for step in leg.history]
    assert leg.status is max([LegStatus.STARTED, *reports], key=ORDER.index)
    assert reached == sorted(set(reached), key=lambda status: ORDER.index(LegStatus(status)))


def test_an_answered_call_may_turn_out_to_be_a_machine_and_the_other_way_round() -> None:
    assert follows(LegStatus.ANSWERED, LegStatus.MACHINE)
    assert follows(LegStatus.MACHINE, LegStatus.ANSWERED)


@given(st.lists(st.integers(0, 30), unique=True, max_size=30), st.sets(st.integers(0, 30)))
def test_the_main_leg_is_listed_first_and_stays_while_it_is_live(numbers: list[int], alive: set[int]) -> None:
    channel: Any = {"type": "phone"}
    live: set[str] = set()
    for number in numbers:
        main = channel.get("leg_id")
        channel = with_leg(channel, str(number), live)
        assert channel["leg_id"] == channel["leg_ids"][0]["leg_id"] == (main if main in live else str(number))
        assert {"leg_id": str(number)} in channel["leg_ids"]
        assert len(channel["leg_ids"]) <= MAX_LEGS
        if number in alive:
            live.add(str(number))
    for leg in list(channel.get("leg_ids", ())):
        channel = without_leg(channel, leg["leg_id"])
        assert leg not in channel.get("leg_ids", ())
    assert channel == {"type": "phone"}


@pytest.mark.parametrize("id", ["a", "a/b", "3f2c@host/1;x=y", "...", "a..b", "%2e", "ü"])
def test_a_leg_id_may_be_whatever_a_path_can_hold(id: str) -> None:
    assert check_leg_id("leg_id", id) == id


@pytest.mark.parametrize("id", ["", ".", "..", "a/../b", "a//b", "/a", "a/", "a/.", "a\nb", "x" * 256])
def test_a_leg_id_that_a_path_would_lose_is_refused(id: str) -> None:
    with pytest.raises(InvalidInput):
        check_leg_id("leg_id", id)
