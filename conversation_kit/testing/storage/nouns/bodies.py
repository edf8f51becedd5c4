"""Bodies: any JSON object that the kit lets in comes back as it was, alone and among others on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.checks import MAX_INTEGER, check_json
from conversation_kit.testing.harness.harness import Contract, assert_same

TRICKY = (
    '"\\/', '\\"\\\\/', '","', '",\n"', ",\n", '"},\n{"id":"1"', '"href":"\\/7"', "\\", "\\\\", "\\u0000", "\\ud800",
    "\r\n", "\x01\x1f\x7f\x85",
    "\u2028\u2029", "\ufeff\ufffe\uffff", "\u200f\u202e", "e\u0301\u0345", "\U0001f469\u200d\U0001f469", "\U0010ffff",
    "%s %(a)s {} :a ?", "'; --", "</script>",
)  # fmt: skip
"""Texts that could be taken for the joints of a page, for the mark of an href, or for something of a database's own."""

TEXTS = st.sampled_from(TRICKY) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
BODIES = st.dictionaries(TEXTS, VALUES, max_size=5)


class BodiesContract(Contract):
    """A body is stored as the text that it is."""

    @settings(
        max_examples=5,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    @example(bodies=[{text: text} for text in TRICKY], types=["".join(TRICKY)])
    @given(bodies=st.lists(BODIES, min_size=1, max_size=20), types=st.lists(TEXTS, min_size=1, max_size=3))
    async def test_any_body_comes_back_as_it_was(self, tmp_path: Path, bodies: list[dict[str, Any]], types: list[str]) -> None:
        for body in bodies:
            check_json("body", body)
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()

            def append(draft: Draft) -> list[Event]:
                return [draft.append(types[number % len(types)], body, sender=types[-1], to=types[0]) for number, body in enumerate(bodies)]

            made = (await bench.edit(room.id, append)).result
            page = await bench.storage.list_events(bench.access(), room.id, EventRange(size=100))
            assert_same(page.events(), made)
            assert_same([event.body for event in page.events()], bodies)
            backwards = await bench.storage.list_events(bench.access(), room.id, EventRange(size=100, descending=True))
            assert_same(backwards.events(), made[::-1])
            alone = await bench.storage.get_event(bench.access(), room.id, len(bodies))
            assert_same((alone, alone.body, alone.type, alone.sender), (made[-1], bodies[-1], made[-1].type, types[-1]))
            assert_same((await bench.scene(room.id, Needs(events=(1,)))).events[1], made[0])
