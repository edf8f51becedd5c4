from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.domain.channels import CHANNEL_TYPES, check_channel
from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.event_types import EPHEMERAL, RECEIPT_KINDS, STORED, check_body, check_type, is_message, receipt_target
from conversation_kit.domain.values.checks import MAX_DEPTH, MAX_INTEGER, MAX_JSON, check_image_url, check_json, check_text, check_ttl

scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
plain_text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
good_json = st.recursive(
    scalars | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)


@given(good_json)
def test_what_is_accepted_reads_back_unchanged(value: Any) -> None:
    assert json.loads(check_json("body", value)) == value


@given(good_json, st.sampled_from(["\0", "\ud800", MAX_INTEGER + 1, -MAX_INTEGER - 1, float("nan"), float("inf"), {1: 2}.keys()]))
def test_one_bad_value_anywhere_spoils_it(value: Any, bad: Any) -> None:
    for spoilt in ({"a": [value, bad]}, [[bad], value], {"x": value, "y": {"z": bad}}):
        with pytest.raises(InvalidInput) as caught:
            check_json("body", spoilt)
        assert list(caught.value.fields) == ["body"]


@given(st.integers(1, 3 * MAX_DEPTH))
def test_nesting_is_bounded(depth: int) -> None:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    if depth > MAX_DEPTH:
        with pytest.raises(InvalidInput, match="deeper"):
            check_json("body", value)
    else:
        check_json("body", value)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    check_json("body", [[] for _ in range(1000)])


def test_length_is_counted_in_bytes() -> None:
    check_json("body", "x" * (MAX_JSON - 2))
    for too_long in ("x" * (MAX_JSON - 1), "é" * (MAX_JSON // 2)):
        with pytest.raises(InvalidInput, match="bytes"):
            check_json("body", too_long)


@given(st.text(max_size=300))
def test_a_text_is_accepted_or_named(text: str) -> None:
    bad = len(text) > 255 or "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
    if bad:
        with pytest.raises(InvalidInput):
            check_text("name", text)
    else:
        assert check_text("name", text) == text


@pytest.mark.parametrize("url", ["https://example.com", "http://example.com:8080/a?b=c#d", "https://[::1]/x", "https://example.com/%C3%A9"])
def test_an_absolute_web_address_is_an_image_url(url: str) -> None:
    assert check_image_url("image_url", url) == url


@pytest.mark.parametrize(
    "url",
    [
        "x",
        "/x",
        "//example.com",
        "ftp://example.com/x",
        "data:image/png;base64,xx",
        "https://",
        "https:///x",
        "https://a b",
        "https://é.com",
    ]
    + ["https://example.com/\n", "javascript:alert(1)//https://example.com", "https://user@example.com"],
)
def test_anything_else_is_not(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_image_url("image_url", url)


@pytest.mark.parametrize(("ttl", "seconds"), [(0, None), (1, 1.0), (0.5, 0.5), ("60", 60.0), (MAX_INTEGER, float(MAX_INTEGER))])
def test_a_ttl_is_a_number_of_seconds_and_0_is_for_ever(ttl: Any, seconds: float | None) -> None:
    assert check_ttl({"ttl": ttl}) == seconds


@pytest.mark.parametrize("ttl", [-1, "", "x", True, [], MAX_INTEGER * 2, "nan", "inf", "-1"])
def test_a_ttl_that_is_none_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidInput):
        check_ttl({"ttl": ttl})


def test_no_ttl_is_for_ever() -> None:
    assert check_ttl({}) is None
    assert check_ttl({"ttl": None}) is None


@given(st.sampled_from(sorted(STORED | EPHEMERAL)))
def test_the_apis_types_may_be_posted(type: str) -> None:
    check_type(type)
    assert is_message(type) == (type in ("text", "image", "message"))
    assert (type in RECEIPT_KINDS) == type.endswith((":seen", ":delivered"))
    assert is_message(type, {type}) == (type not in RECEIPT_KINDS and type not in EPHEMERAL)


@given(st.from_regex(r"custom:[A-Za-z0-9_-]{1,93}", fullmatch=True))
def test_custom_types_may_be_posted_and_deleted(type: str) -> None:
    check_type(type)
    check_body(type, {})
    assert is_message(type)
    assert type not in RECEIPT_KINDS


@given(st.text(max_size=120))
def test_no_other_type_may_be_posted_unless_registered(type: str) -> None:
    if type not in STORED | EPHEMERAL and not type.startswith("custom:"):
        with pytest.raises(InvalidInput, match="invalid-event"):
            check_type(type)
        check_type(type, {type})


@given(st.integers() | st.text() | st.booleans() | st.none() | st.floats())
def test_a_receipts_target_is_a_positive_number_or_its_digits(value: Any) -> None:
    target = receipt_target({"event_id": value})
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        assert target == value
    elif target is not None:
        assert isinstance(value, str)
        assert target == int(value) > 0


@pytest.mark.parametrize("type", CHANNEL_TYPES)
def test_the_known_channels_are_accepted(type: str) -> None:
    check_channel({"type": type, "from": {"type": "app"}, "to": {"type": type, "number": "1"}, "ring_timeout": 5})
    check_channel({"type": type, "from": {}, "to": {"number": "1"}})


@pytest.mark.parametrize(
    "channel",
    [{}, {"type": "pigeon"}, {"type": None}, {"type": "app", "from": "x"}, {"type": "app", "to": {"type": "pigeon"}}, {"type": ["app"]}],
)
def test_an_unknown_channel_is_refused(channel: Any) -> None:
    with pytest.raises(InvalidInput, match="invalid-channel"):
        check_channel(channel)
