"""Results of decisions come back from their JSON as they were."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.decisions.results import MODELS, decode, encode
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import JSONObject

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=3)


def models(model: type[Any]) -> st.SearchStrategy[Any]:
    """Models with instants as storages have them, and any JSON."""
    hints = get_type_hints(model)
    fields: dict[str, st.SearchStrategy[Any]] = {name: TEXT for name, hint in hints.items() if hint is str}
    fields |= {name: INSTANTS for name, hint in hints.items() if hint is datetime}
    fields |= {name: st.none() | INSTANTS for name, hint in hints.items() if hint == datetime | None}
    fields |= {name: OBJECTS for name, hint in hints.items() if hint == JSONObject}
    if "history" in hints:
        fields["history"] = st.lists(OBJECTS, max_size=2).map(tuple)
    return st.builds(model, **fields)


RESULTS = st.one_of(st.none(), st.booleans(), *map(models, MODELS.values()))


@given(RESULTS)
def test_a_result_comes_back_as_it_was(result: Any) -> None:
    assert decode(encode(result), "app") == result


@given(st.integers(1, 2**53) | st.none(), TEXT, TEXT | st.none(), INSTANTS, OBJECTS)
def test_an_event_comes_back_without_its_body(id: int | None, type: str, sender: str | None, at: datetime, body: dict[str, Any]) -> None:
    event = Event.compose("app", "CON-1", id, type=type, body=body, timestamp=at, sender=sender)
    found = decode(encode(event), "app")
    assert (found.id, found.type, found.sender, found.to, found.timestamp) == (id, type, sender, None, at)
    assert found.body == {}
    assert "body" not in encode(event) or "body" in type + (sender or "")
