"""Ephemeral events that a broker carries: whole, however long, and nothing that a client could not have posted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit import BrokerMessage, ConversationKit, EphemeralEvent, Event, MemoryBroker, Subscription
from conversation_kit.brokers.messages import read, write
from conversation_kit.brokers.parts import MAX_DATA, Part, Parts
from conversation_kit.domain.values.checks import check_json
from conversation_kit.live.ephemeral import EphemeralCodec
from tests.integration.live.taking import take
from tests.support.probes import unfinished, until_heard
from tests.support.world import APP, OTHER, World, make_kit, open_world

pytestmark = pytest.mark.anyio

SECRET = "a secret of enough characters"
GOOD = '{"type":"text:typing:on","from":"MEM-1","timestamp":"2026-01-01T00:00:00.000Z","body":{"a":[1]}}'
BAD = {
    "another type": GOOD.replace("text:typing:on", "text"),
    "a type that is no text": GOOD.replace('"text:typing:on"', '["ephemeral"]'),
    "an id": GOOD.replace('"type"', '"id":"7","type"'),
    "a body that is no object": GOOD.replace('{"a":[1]}', "7"),
    "no body": GOOD.replace(',"body":{"a":[1]}', ""),
    "a tombstone": GOOD.replace('{"a":[1]}', '{"timestamp":{"deleted":"2026-01-01T00:00:00.000Z"}}'),
    "NaN": GOOD.replace("[1]", "NaN"),
    "Infinity": GOOD.replace("[1]", "-Infinity"),
    "NaN in another field": GOOD.replace('"from"', '"x":NaN,"from"'),
    "a body that is too long": GOOD.replace("[1]", f'"{"x" * 65_536}"'),
    "a text that is too long": GOOD.replace("[1]", f"[1]{' ' * MAX_DATA}"),
    "a NUL": GOOD.replace("[1]", '"\\u0000"'),
    "half a surrogate pair": GOOD.replace("[1]", '"\\ud800"'),
    "half a surrogate pair in a member's id": GOOD.replace("MEM-1", "\\ud800"),
    "a number beyond 2**53": GOOD.replace("[1]", "9007199254740993"),
    "a number of too many digits": GOOD.replace("[1]", "9" * 5000),
    "what nests too deep": GOOD.replace("[1]", "[" * 65 + "]" * 65),
    "what nests much too deep": "[" * 20_000,
    "a member that is no text": GOOD.replace('"MEM-1"', '{"id":1}'),
    "a member's id that is too long": GOOD.replace("MEM-1", "M" * 256),
    "no time": GOOD.replace('"timestamp"', '"time"'),
    "a time that is none": GOOD.replace("2026-01-01T00:00:00.000Z", 'x"\\n\\ndata: {}'),
    "a list": "[1]",
    "no JSON": "?",
}


@pytest.mark.parametrize("why", BAD)
async def test_what_no_client_could_have_posted_is_not_taken_from_a_broker(why: str, caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker()
    async with open_world(make_kit(broker=broker)) as world, world.kit.subscribe(world.conversation) as events:
        await until_heard(broker)
        for number in range(3):
            broker.tell([EphemeralEvent(APP, world.conversation, f"bad{number}", BAD[why])])
        broker.tell([EphemeralEvent(APP, world.conversation, "good", GOOD), EphemeralEvent(APP, world.conversation, "good", GOOD)])
        broker.tell([EphemeralEvent(OTHER, world.conversation, "other", GOOD), EphemeralEvent(APP, "CON-unknown", "unknown", GOOD)])
        await world.say()
        assert [event.type for event in await take(events, 2)] == ["text:typing:on", "text"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "not taken" in warning


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["ephemeral", "text:typing:on", "text"]), "body": st.dictionaries(st.text(max_size=5), JSON)},
    optional={"from": JSON, "to": JSON, "timestamp": JSON | st.datetimes().map(str), "href": JSON, "id": JSON, "more": JSON},
)


@given(FIELDS, st.sampled_from([None, 1, "\n", "\r\n"]))
def test_whatever_is_heard_becomes_an_event_that_the_kit_could_have_made_or_none(fields: dict[str, Any], indent: Any) -> None:
    event = EphemeralCodec().event(EphemeralEvent(APP, "CON-1", "w", json.dumps(fields, indent=indent)))
    if event is None:
        return
    assert not set("\r\n\0") & set(event.data)
    found = json.loads(event.data, parse_constant=lambda name: pytest.fail(name))
    assert list(found) == [name for name in ("type", "from", "to", "timestamp", "body") if name in found]
    assert all(isinstance(found.get(name), str | None) for name in ("from", "to"))
    check_json("body", found["body"])
    made = Event.compose(
        APP, "CON-1", None, type=found["type"], body=found["body"], timestamp=event.timestamp, sender=event.sender, to=event.to
    )
    assert event.data == made.data


@pytest.mark.parametrize(
    ("teller", "hearer", "is_heard"), [(None, SECRET, False), ("b" * 16, SECRET, False), (SECRET, SECRET, True), (SECRET, None, True)]
)
async def test_with_a_secret_only_who_has_it_is_heard(teller: str | None, hearer: str | None, is_heard: bool) -> None:
    broker = MemoryBroker()
    async with open_world(make_kit(broker=broker, ticket_secret=teller)) as world:
        other = make_kit(world.kit.storage, broker=broker, ticket_secret=hearer)
        async with other.subscribe(world.conversation) as events:
            await until_heard(broker)
            await world.kit.as_user("ana").events.create(world.conversation, "ephemeral", {"text": "hello"})
            await world.say()
            assert [event.type for event in await take(events, 1 + is_heard)] == ["ephemeral", "text"][not is_heard :]


@pytest.mark.parametrize(
    "changed", [{"conversation_id": "CON-2"}, {"application_id": OTHER}, {"data": GOOD.replace("MEM-1", "MEM-2")}, {"id": "x"}]
)
def test_a_sealed_whisper_cannot_be_changed(changed: dict[str, str]) -> None:
    event = Event.compose(
        APP, "CON-1", None, type="text:typing:on", body={"a": [1]}, timestamp=datetime(2026, 1, 1, tzinfo=UTC), sender="MEM-1"
    )
    assert event.data == GOOD
    message = EphemeralCodec(SECRET).of(event)
    fields = {name: getattr(message, name) for name in ("application_id", "conversation_id", "id", "data")}
    assert EphemeralCodec(SECRET).event(message) == event
    assert EphemeralCodec(SECRET).event(EphemeralEvent(**{**fields, **changed})) is None


class WrittenBroker(MemoryBroker):
    """Passes on what is written, as brokers with a server do."""

    def __init__(self) -> None:
        super().__init__()
        self._parts = Parts()

    def tell(self, messages: Sequence[BrokerMessage]) -> None:
        super().tell(self._parts.whole(one for text in write(messages) for one in read(text)))


@asynccontextmanager
async def two_processes() -> AsyncIterator[tuple[World, Subscription]]:
    """One that writes, and a subscription of another kit that hears of it through a broker only."""
    broker = WrittenBroker()
    async with open_world(make_kit(broker=broker)) as world:
        other: ConversationKit = make_kit(world.kit.storage, broker=broker)
        async with other.subscribe(world.conversation) as events:
            await until_heard(broker)
            yield world, events


@pytest.mark.parametrize("character", ["x", '"', "\x01", "я", "☎", "😀"])
async def test_an_ephemeral_event_of_any_length_reaches_other_processes(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversation_kit.live.dispatcher.POLL_SECONDS", 3600)
    longest = (65_536 - len(b'{"text":""}')) // len(json.dumps(character, ensure_ascii=False)[1:-1].encode())
    async with two_processes() as (world, events):
        for length in (1, 500, 2_000, 5_000, longest):
            sent = await world.kit.as_user("ana").events.create(world.conversation, "ephemeral", {"text": character * length})
            (event,) = await take(events, 1)
            assert event.data == sent.data


@given(st.data(), st.lists(st.text(max_size=5_000), min_size=1, max_size=4))
def test_parts_make_a_whole_in_any_order_and_however_often_they_come(data: st.DataObject, texts: list[str]) -> None:
    ephemeral_events = [EphemeralEvent(APP, "CON-1", f"w{number}", text * 20) for number, text in enumerate(texts)]
    heard = [one for text in write(ephemeral_events) for one in read(text)]
    shuffled = data.draw(st.permutations([*heard, *[one for one in heard if isinstance(one, Part)][:3]]))
    parts = Parts()
    found = [one for one in shuffled for one in parts.whole([one])]
    assert {one.id: one for one in found if isinstance(one, EphemeralEvent)} == {one.id: one for one in ephemeral_events}


def test_parts_that_never_become_whole_are_forgotten() -> None:
    parts = Parts()
    for number in range(1_000):
        assert parts.whole([Part(APP, "CON-1", f"w{number}", 0, 2, "x")]) == []
    assert len(unfinished(parts)) <= 32
    for number in range(100):
        assert parts.whole([Part(APP, "CON-1", "long", number, 512, "x" * 7_000)]) == []
    assert sum(one.size for one in unfinished(parts)) <= MAX_DATA + 32
    assert parts.whole([Part(APP, "CON-1", "w999", 1, 3, "x")]) == []
