"""The text of an event: what is put in comes out, and pages can be taken apart again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from conversation_kit.domain.events import HREF, SEPARATOR, Event, EventPage, located, located_page
from conversation_kit.domain.values.checks import check_json
from conversation_kit.testing.storage.nouns.bodies import BODIES, TEXTS, TRICKY

INSTANTS = st.integers(0, 10**12).map(lambda milliseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds))


def compose(id: int | None, body: dict[str, Any], type: str = "text", sender: str | None = None, to: str | None = None) -> Event:
    # As the services do it: with the text that the check has made.
    text = check_json("body", body)
    return Event.compose("app", "CON-1", id, type=type, body=body, timestamp=datetime.now(UTC), sender=sender, to=to, body_text=text)


@given(BODIES, TEXTS, st.none() | TEXTS, st.none() | TEXTS, INSTANTS)
def test_what_is_composed_is_read_again(body: dict[str, Any], type: str, sender: str | None, to: str | None, at: datetime) -> None:
    made = Event.compose("app", "CON-1", 7, type=type, body=body, timestamp=at, sender=sender, to=to)
    read = Event("app", "CON-1", 7, made.data)
    assert (read.type, read.sender, read.to, read.body, read.timestamp) == (type, sender, to, body, at)
    keys = ["id", "type", *["from"] * (sender is not None), *["to"] * (to is not None), "timestamp", "body", "href"]
    assert list(read.fields) == keys
    assert (read.fields["id"], read.fields["href"]) == ("7", "/7")


@given(BODIES, TEXTS)
def test_an_ephemeral_event_has_no_place_and_says_so(body: dict[str, Any], type: str) -> None:
    made = compose(None, body, type)
    assert HREF not in made.data
    assert json.loads(made.data).keys() == {"type", "timestamp", "body"}


@given(st.lists(st.tuples(BODIES, TEXTS, st.none() | TEXTS), max_size=8))
@example([({text: text}, text, text) for text in TRICKY])
def test_a_page_can_be_taken_apart(drawn: list[tuple[dict[str, Any], str, str | None]]) -> None:
    events = [compose(id, body, type, sender) for id, (body, type, sender) in enumerate(drawn, 1)]
    page = EventPage("app", "CON-1", range(1, len(events) + 1), SEPARATOR.join(event.data for event in events))
    assert page.rows == [(event.id, event.data) for event in events]
    assert [event.body for event in page.events()] == [body for body, _, _ in drawn]


@given(st.lists(st.tuples(BODIES, TEXTS), max_size=4))
@example([])
@example([({"text": "nothing in it is escaped"}, "text")] * 2)
@example([({text: text}, text) for text in TRICKY])
def test_the_events_of_a_page_have_the_hrefs_that_each_of_them_has(drawn: list[tuple[dict[str, Any], str]]) -> None:
    events = [compose(id, body, type) for id, (body, type) in enumerate(drawn, 1)]
    for prefix in ("https://host.test/beta/conversations/CON-1/events/", "http://[::1]:8000/a\\b/"):
        page = located_page(SEPARATOR.join(event.data for event in events), len(events), prefix)
        assert page.decode() == SEPARATOR.join(located(event.data, prefix) for event in events)


@given(BODIES, TEXTS, st.none() | TEXTS)
@example({text: [text] for text in TRICKY}, "".join(TRICKY), "".join(TRICKY))
def test_only_the_href_depends_on_where_it_is_read(body: dict[str, Any], type: str, to: str | None) -> None:
    made = compose(7, body, type, to=to)
    assert made.data.count(HREF) == 1
    for prefix in ("https://host.test/beta/conversations/CON-1/events/", "http://[::1]:8000/a\\b/"):
        read = json.loads(located(made.data, prefix))
        assert read.pop("href") == prefix.replace("\\", "%5C") + "7"
        expected = dict(made.fields)
        expected.pop("href", None)
        assert {key: value for key, value in read.items() if key != "id"} == {key: value for key, value in expected.items() if key != "id"}
