"""Updates that merge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.domain.values.patches import merged


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from("abc"), inner, max_size=3)


values = st.recursive(
    st.integers() | st.text(max_size=2) | st.none(), lambda inner: st.lists(inner, max_size=2) | objects(inner), max_leaves=8
)


@pytest.mark.parametrize(
    ("old", "patch", "expected"),
    [
        # The examples of RFC 7396 that are objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": "foo"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, None, {}),
    ],
)
def test_a_patch_merges_as_the_standard_has_it(old: Any, patch: Any, expected: Any) -> None:
    assert merged(old, patch) == expected


@given(objects(values), objects(values))
def test_what_a_patch_does_not_name_stays_and_twice_is_once(old: dict[str, Any], patch: dict[str, Any]) -> None:
    new = merged(old, patch)
    assert {name: value for name, value in new.items() if name not in patch} == {
        name: value for name, value in old.items() if name not in patch
    }
    assert merged(new, patch) == new
    assert merged(old, {}) == old
