"""The order of events, whatever the order of their announcements."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conversation_kit import Event, EventPage, EventRange
from conversation_kit.live.topics import MAX_EARLY, Published, Topic


class LogReader:
    """Notes the ids that it gets."""

    def __init__(self, user_id: str | None = None) -> None:
        self.user_id = user_id
        self.ids: list[int | None] = []
        self.fell_behind = 0

    def deliver(self, item: Published) -> None:
        self.ids.append(item.event.id)

    def fall_behind(self) -> None:
        self.fell_behind += 1

    def end(self, error: Exception) -> None:
        raise AssertionError


def event(id: int | None, type: str = "text", body: Any = None) -> Event:
    return Event.compose("app", "CON-1", id, type=type, body=body or {}, timestamp=datetime.now(UTC))


async def read(wanted: EventRange) -> EventPage:
    raise AssertionError("a topic does not read by itself")


def followed(next: int = 1) -> tuple[Topic, LogReader]:
    topic, reader = Topic("app", "CON-1", read), LogReader()
    topic.subscribers[reader] = None
    assert topic.admits(next)
    return topic, reader


@given(st.permutations(range(1, 21)), st.lists(st.integers(1, 20)))
def test_each_event_is_delivered_once_and_in_order(order: list[int], again: list[int]) -> None:
    topic, reader = followed()
    for id in [*order[:10], *again, *order[10:], *again]:
        topic.publish(event(id))
        assert reader.ids == list(range(1, len(reader.ids) + 1))
        assert topic.has_gap == (topic.head > len(reader.ids))
    assert reader.ids == list(range(1, 21))


def test_a_gap_is_filled_from_the_log_also_where_more_was_announced_than_is_kept() -> None:
    topic, reader = followed()
    for id in range(2, 2 * MAX_EARLY):
        topic.publish(event(id))
    assert reader.ids == []
    for id in range(1, 2 * MAX_EARLY):
        topic.publish(event(id))
    assert reader.ids == list(range(1, 2 * MAX_EARLY))
    assert not topic.has_gap


def test_nobody_follows_from_where_something_would_be_missed() -> None:
    topic = Topic("app", "CON-1", read)
    topic.publish(event(5))
    assert not topic.admits(5)
    assert topic.admits(6)
    assert not topic.admits(5)
    assert topic.admits(9)


def test_ephemeral_events_have_no_place_in_the_order() -> None:
    topic, reader = followed()
    for id in (2, None, 1, None):
        topic.publish(event(id))
    assert reader.ids == [None, 1, 2, None]


def test_who_leaves_has_to_look_whether_it_still_may_read() -> None:
    topic, reader = followed()
    leaver = LogReader("USR-1")
    topic.subscribers[leaver] = None
    topic.publish(event(1, "member:left", {"user": {"id": "USR-1"}}))
    assert leaver.ids == [1]
    assert (leaver.fell_behind, reader.fell_behind) == (1, 0)


def test_an_event_is_put_into_each_kind_of_frame_once() -> None:
    made = []

    def make(event: Event) -> str:
        made.append(event.id)
        return event.data

    item = Published(event(1))
    for kind in ("one", "other", "one"):
        assert item.frame(kind, make) == item.event.data
    assert made == [1, 1]
